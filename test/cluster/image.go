package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The images that every node has. The registry part "localhost" keeps the
// runtime from asking anybody for them.
const (
	PauseImage   = "localhost/pause:1"
	BusyboxImage = "localhost/busybox:1" // busybox and its applets, and /bin/netprobe
	NobodyImage  = "localhost/nobody:1"  // the same, which runs as user 65534
)

// imageFile is one entry of an image's only layer: a file, or a symbolic link
// when target is set.
type imageFile struct {
	path    string
	mode    int64
	content []byte
	target  string
}

// image is a container image to be packed without daemon or registry.
type image struct {
	ref        string
	files      []imageFile
	entrypoint []string
	cmd        []string
	user       string
}

// imagesKey is the cache key of the node's images.
func imagesKey(ctx context.Context, source string) (string, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", fmt.Errorf("find busybox: %w", err)
	}
	return sourceKey(ctx, source, []string{busybox, filepath.Join(source, "image.go"),
		filepath.Join(source, "cmd", "pause", "main.go"), filepath.Join(source, "cmd", "netprobe", "main.go")})
}

// buildImages writes the archives of the images to dir.
func buildImages(ctx context.Context, source, dir string) error {
	binaries := map[string][]byte{}
	for _, name := range []string{"pause", "netprobe"} {
		out := filepath.Join(dir, name)
		if err := goBuild(ctx, source, out, "./cmd/"+name, "-s", "-w"); err != nil {
			return err
		}
		b, err := os.ReadFile(out)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := os.Remove(out); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
		binaries[name] = b
	}
	pause := image{ref: PauseImage, entrypoint: []string{"/pause"}, user: "65535:65535",
		files: []imageFile{{path: "pause", mode: 0o755, content: binaries["pause"]}}}
	if err := pause.write(filepath.Join(dir, "pause.tar")); err != nil {
		return err
	}
	files, err := busyboxFiles(ctx)
	if err != nil {
		return err
	}
	files = append(files, imageFile{path: "bin/netprobe", mode: 0o755, content: binaries["netprobe"]},
		imageFile{path: "etc/passwd", mode: 0o644, content: []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")},
		imageFile{path: "etc/group", mode: 0o644, content: []byte("root:x:0:\nnogroup:x:65534:\n")})
	busybox := image{ref: BusyboxImage, cmd: []string{"sh"}, files: files}
	if err := busybox.write(filepath.Join(dir, "busybox.tar")); err != nil {
		return err
	}
	nobody := image{ref: NobodyImage, cmd: []string{"sh"}, user: "65534:65534", files: files}
	return nobody.write(filepath.Join(dir, "nobody.tar"))
}

// busyboxFiles returns the machine's busybox and a link per applet.
func busyboxFiles(ctx context.Context) ([]imageFile, error) {
	file, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("find busybox: %w", err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read busybox: %w", err)
	}
	if !static(b) {
		return nil, fmt.Errorf("pack %s: it needs shared libraries (install busybox-static)", file)
	}
	list, err := exec.CommandContext(ctx, file, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list busybox applets: %w", err)
	}
	files := []imageFile{{path: "bin/busybox", mode: 0o755, content: b}}
	for _, applet := range strings.Fields(string(list)) {
		if applet != "busybox" {
			files = append(files, imageFile{path: "bin/" + applet, target: "busybox"})
		}
	}
	return files, nil
}

// static tells whether an ELF binary runs without an interpreter.
func static(b []byte) bool {
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// write packs the image as an archive that "ctr images import" reads.
func (m image) write(out string) error {
	layer, err := m.layer()
	if err != nil {
		return fmt.Errorf("pack layer of %s: %w", m.ref, err)
	}
	diff := digest(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "created": time.Unix(0, 0).UTC(),
		"config": map[string]any{"Env": []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			"Entrypoint": m.entrypoint, "Cmd": m.cmd, "WorkingDir": "/", "User": m.user},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + diff}},
	})
	if err != nil {
		return fmt.Errorf("encode image configuration: %w", err)
	}
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": digest(config) + ".json", "RepoTags": []string{m.ref}, "Layers": []string{diff + "/layer.tar"}}})
	if err != nil {
		return fmt.Errorf("encode image manifest: %w", err)
	}
	archive, err := pack([]imageFile{
		{path: "manifest.json", mode: 0o644, content: manifest},
		{path: digest(config) + ".json", mode: 0o644, content: config},
		{path: diff + "/layer.tar", mode: 0o644, content: layer},
	})
	if err != nil {
		return fmt.Errorf("pack %s: %w", m.ref, err)
	}
	if err := os.WriteFile(out, archive, 0o644); err != nil {
		return fmt.Errorf("write image archive: %w", err)
	}
	return nil
}

// layer packs the files and the folders they lie in, and an empty /tmp.
func (m image) layer() ([]byte, error) {
	entries := []imageFile{{path: "tmp/", mode: 0o1777}}
	made := map[string]bool{"tmp": true}
	for _, f := range m.files {
		var parents []string
		for dir := path.Dir(f.path); dir != "." && !made[dir]; dir = path.Dir(dir) {
			made[dir] = true
			parents = append(parents, dir)
		}
		slices.Reverse(parents)
		for _, dir := range parents {
			entries = append(entries, imageFile{path: dir + "/", mode: 0o755})
		}
		entries = append(entries, f)
	}
	return pack(entries)
}

// pack writes a tar archive; a path that ends in a slash is a folder.
func pack(files []imageFile) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.path, Mode: f.mode, Typeflag: tar.TypeReg, Size: int64(len(f.content))}
		switch {
		case strings.HasSuffix(f.path, "/"):
			h.Typeflag = tar.TypeDir
		case f.target != "":
			h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.target, 0o777
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
