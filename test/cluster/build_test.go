package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestCachedBuildsOnce(t *testing.T) {
	cache := t.TempDir()
	var mu sync.Mutex
	built := 0
	build := func(dir string) error {
		mu.Lock()
		defer mu.Unlock()
		built++
		return os.WriteFile(filepath.Join(dir, "kube"), nil, 0o755)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			dir, err := cached(context.Background(), cache, "kube-1", build)
			if err != nil {
				t.Error(err)
			} else if _, err := os.Stat(filepath.Join(dir, "kube")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if built != 1 {
		t.Errorf("built %d times", built)
	}
}

func TestCachedKeepsNothingOfAFailure(t *testing.T) {
	cache, broken := t.TempDir(), errors.New("broken")
	_, err := cached(context.Background(), cache, "kube-1", func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "half"), nil, 0o644), broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("error: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "kube-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestKubeKeyDependsOnEverySource(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module kube\nrequire (\n\tk8s.io/kubernetes v1.36.3\n)\n")
	write("go.sum", "")
	write("main.go", "package main")
	var keys []string
	for _, change := range []func(){func() {}, func() { write("main.go", "package main // 2") }, func() { write("go.sum", "x") }} {
		change()
		key, version, err := kubeKey(context.Background(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if version != "v1.36.3" {
			t.Errorf("version %s", version)
		}
		keys = append(keys, key)
	}
	if slices.Sort(keys); len(slices.Compact(keys)) != 3 {
		t.Errorf("keys %v", keys)
	}
}

func TestImageArchive(t *testing.T) {
	out := filepath.Join(t.TempDir(), "image.tar")
	m := image{ref: "localhost/x:1", cmd: []string{"sh"}, files: []imageFile{
		{path: "usr/bin/tool", mode: 0o755, content: []byte("tool")}, {path: "usr/bin/alias", target: "tool"}}}
	if err := m.write(out); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	outer, _ := untar(t, b)
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(outer["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	var config struct {
		Rootfs struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := json.Unmarshal(outer[manifest[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	layer := outer[manifest[0].Layers[0]]
	if config.Rootfs.DiffIDs[0] != "sha256:"+digest(layer) {
		t.Error("the configuration names another layer")
	}
	_, names := untar(t, layer)
	want := []string{"tmp/", "usr/", "usr/bin/", "usr/bin/tool", "usr/bin/alias"}
	if !slices.Equal(names, want) || strings.Join(manifest[0].RepoTags, ",") != "localhost/x:1" {
		t.Errorf("%v holds %v, want %v", manifest[0].RepoTags, names, want)
	}
}

func untar(t *testing.T, b []byte) (files map[string][]byte, names []string) {
	t.Helper()
	files = map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return files, names
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}
