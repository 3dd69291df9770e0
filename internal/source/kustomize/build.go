package kustomize

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/sandbox"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// request is what the child is asked to build.
type request struct {
	Root string // of the overlay, relative to the tree
	File string // its kustomization
}

// built is the output, one document after the other.
type built struct {
	Text    string
	Origins []string // of each document: its file relative to the overlay, "" when it was generated
}

// Build is the child's job: it builds an overlay as `kustomize build` does, with
// its own record of which file each object comes from.
func Build(input json.RawMessage, files sandbox.Files) (any, error) {
	var req request
	if err := json.Unmarshal(input, &req); err != nil {
		return nil, err
	}
	top := "/" + path.Join(req.Root, req.File)
	fsys := &tree{files: files, listed: map[string][]sandbox.Entry{}, top: top}
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fsys, "/"+req.Root)
	if err != nil {
		return nil, err
	}
	var out built
	for _, r := range m.Resources() {
		origin, err := r.GetOrigin()
		if err != nil {
			return nil, err
		}
		file := ""
		if origin != nil && origin.Repo == "" {
			file = origin.Path
		}
		out.Origins = append(out.Origins, file)
	}
	if !fsys.wanted {
		if err := m.RemoveOriginAnnotations(); err != nil {
			return nil, err
		}
	}
	text, err := m.AsYaml()
	out.Text = string(text)
	return out, err
}

// tree is a read-only view of what the parent answers, rooted at /.
type tree struct {
	files  sandbox.Files
	listed map[string][]sandbox.Entry
	top    string // the overlay's own kustomization
	wanted bool   // it asks for origins itself
}

var errReadOnly = errors.New("nothing can be written here")

func relative(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(name)), "/")
	if name == "" {
		return "."
	}
	return name
}

// stat tells what a name is; false when it is not there.
func (t *tree) stat(name string) (isDir, ok bool) {
	name = relative(name)
	if name == "." {
		return true, true
	}
	list, err := t.list(path.Dir(name))
	if err != nil {
		return false, false
	}
	i := slices.IndexFunc(list, func(e sandbox.Entry) bool { return e.Name == path.Base(name) })
	return i >= 0 && list[i].Dir, i >= 0
}

func (t *tree) list(dir string) ([]sandbox.Entry, error) {
	if l, ok := t.listed[dir]; ok {
		return l, nil
	}
	if isDir, ok := t.stat(dir); !ok || !isDir {
		return nil, fs.ErrNotExist
	}
	l, err := t.files.List(dir)
	if err == nil {
		t.listed[dir] = l
	}
	return l, err
}

func (t *tree) ReadFile(name string) ([]byte, error) {
	data, err := t.files.Read(relative(name))
	if err != nil || "/"+relative(name) != t.top {
		return data, err
	}
	return t.withOrigins(data), nil
}

var asksMetadata = regexp.MustCompile(`(?m)^["']?buildMetadata["']?\s*:`)

// withOrigins adds to the overlay's kustomization that each object is to say
// where it comes from.
func (t *tree) withOrigins(data []byte) []byte {
	if !asksMetadata.Match(data) && !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return append(bytes.TrimRight(data, "\n\t "), "\nbuildMetadata: ["+types.OriginAnnotations+"]\n"...)
	}
	var doc map[string]any
	if yaml.Unmarshal(data, &doc) != nil || doc == nil {
		return data // kustomize says what is wrong with it
	}
	asked, _ := doc["buildMetadata"].([]any)
	t.wanted = slices.Contains(asked, any(types.OriginAnnotations))
	if !t.wanted {
		doc["buildMetadata"] = append(asked, types.OriginAnnotations)
	}
	if out, err := yaml.Marshal(doc); err == nil {
		return out
	}
	return data
}

func (t *tree) Exists(name string) bool { _, ok := t.stat(name); return ok }
func (t *tree) IsDir(name string) bool  { isDir, ok := t.stat(name); return ok && isDir }

func (t *tree) ReadDir(name string) ([]string, error) {
	l, err := t.list(relative(name))
	out := make([]string, len(l))
	for i, e := range l {
		out[i] = e.Name
	}
	return out, err
}

func (t *tree) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	isDir, ok := t.stat(name)
	abs := path.Clean("/" + filepath.ToSlash(name))
	switch {
	case !ok:
		return "", "", &fs.PathError{Op: "lstat", Path: abs, Err: fs.ErrNotExist}
	case isDir:
		return filesys.ConfirmedDir(abs), "", nil
	}
	return filesys.ConfirmedDir(path.Dir(abs)), path.Base(abs), nil
}

func (t *tree) Glob(pattern string) ([]string, error) {
	var out []string
	dir, base := path.Split(pattern)
	l, err := t.list(relative(dir))
	if err != nil {
		return nil, nil
	}
	for _, e := range l {
		if ok, err := path.Match(base, e.Name); err != nil {
			return nil, err
		} else if ok && !strings.HasPrefix(e.Name, ".") {
			out = append(out, path.Join(dir, e.Name))
		}
	}
	return out, nil
}

func (t *tree) Walk(string, filepath.WalkFunc) error { return errors.New("not here") }
func (t *tree) Open(string) (filesys.File, error)    { return nil, errReadOnly }
func (t *tree) Create(string) (filesys.File, error)  { return nil, errReadOnly }
func (t *tree) Mkdir(string) error                   { return errReadOnly }
func (t *tree) MkdirAll(string) error                { return errReadOnly }
func (t *tree) RemoveAll(string) error               { return errReadOnly }
func (t *tree) WriteFile(string, []byte) error       { return errReadOnly }
