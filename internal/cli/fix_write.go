package cli

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// replaceFile puts new content into the place of a file, all or nothing: it
// writes beside it and renames. The mode is kept. A file that lies outside of
// the tree by a link on the way, or that is not what was read any more, is left
// alone. name is the file's real name, every link followed.
func replaceFile(tree, name string, before, after []byte) error {
	top := resolved(tree)
	rel, err := filepath.Rel(top, name)
	if err != nil || !filepath.IsLocal(rel) {
		return errors.New("a link leads out of the folder to it: name the file itself")
	}
	root, err := os.OpenRoot(top) // which no link leads out of, should one come meanwhile
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Lstat(rel)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	temp := filepath.Join(filepath.Dir(rel), ".merlon-"+rand.Text())
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(after)
	err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = unchanged(root, rel, before)
	}
	if err == nil {
		err = root.Rename(temp, rel)
	}
	if err != nil {
		root.Remove(temp)
	}
	return err
}

// unchanged holds that a file is still what was read.
func unchanged(root *os.Root, name string, before []byte) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	now, err := io.ReadAll(io.LimitReader(f, int64(len(before))+1))
	if err != nil {
		return err
	}
	if !bytes.Equal(now, before) {
		return errors.New("it has changed since it was read: run again")
	}
	return nil
}
