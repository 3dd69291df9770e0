package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Binaries says where the built programs are.
type Binaries struct {
	Programs string // folder with etcd, kube-apiserver ... kubectl
	Images   string // folder with the node's image archives; empty in ControlPlane
}

// kubePrograms are the names that the one binary goes by.
func kubePrograms() []string {
	return []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"}
}

// findSource looks for this module's folder from the working folder upwards,
// so that the tool works from anywhere in the repository and tests from their
// package's folder.
func findSource() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find working folder: %w", err)
	}
	for {
		for _, candidate := range []string{dir, filepath.Join(dir, "test", "cluster")} {
			if _, err := os.Stat(filepath.Join(candidate, "kube", "go.mod")); err == nil {
				return candidate, nil
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find sources of the test cluster: not in a folder of this repository (name them with --source)")
		}
		dir = parent
	}
}

// Build returns the programs (and for tiers with nodes the images) from the
// cache, or builds them into it. The key is a hash of what goes in; of several
// processes one builds and the others wait.
func Build(ctx context.Context, cfg Config) (Binaries, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return Binaries{}, err
	}
	say := sayer(cfg.Log)
	var bin Binaries
	key, version, err := kubeKey(ctx, cfg.Kube)
	if err != nil {
		return bin, err
	}
	bin.Programs, err = cached(ctx, cfg.Cache, "kube-"+version+"-"+key, func(dir string) error {
		say("building Kubernetes %s: seconds, or about 16 CPU minutes when Go's cache is cold", version)
		return buildKube(ctx, cfg.Kube, version, dir)
	})
	if err != nil {
		return bin, fmt.Errorf("build Kubernetes: %w", err)
	}
	if len(cfg.Tier.nodes()) == 0 {
		return bin, nil
	}
	if key, err = imagesKey(ctx, cfg.Source); err != nil {
		return bin, err
	}
	bin.Images, err = cached(ctx, cfg.Cache, "images-"+key, func(dir string) error {
		say("packing images")
		return buildImages(ctx, cfg.Source, dir)
	})
	if err != nil {
		return bin, fmt.Errorf("build images: %w", err)
	}
	return bin, nil
}

// cached returns the folder name below cache, made by make when it is not
// there. A folder appears whole or not at all.
func cached(ctx context.Context, cache, name string, make func(dir string) error) (string, error) {
	final := filepath.Join(cache, name)
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("make cache folder: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	tmp := final + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return "", fmt.Errorf("clear build folder: %w", err)
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return "", fmt.Errorf("make build folder: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := make(tmp); err != nil {
		return "", err
	}
	if err := os.Rename(tmp, final); err != nil {
		return "", fmt.Errorf("keep build: %w", err)
	}
	return final, nil
}

// lock holds the file against other processes until unlock is called; the
// kernel lets go when we die.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			f.Close()
			return nil, fmt.Errorf("wait for another build: %w", err)
		}
	}
}

// kubeKey returns the cache key of the kube module and its Kubernetes version.
func kubeKey(ctx context.Context, dir string) (key, version string, err error) {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", "", fmt.Errorf("read kube module: %w", err)
	}
	m := regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes (v1\.\d+\.\S+)`).FindSubmatch(mod)
	if m == nil {
		return "", "", fmt.Errorf("read %s: no k8s.io/kubernetes in go.mod", dir)
	}
	version = string(m[1])
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", "", fmt.Errorf("list kube module: %w", err)
	}
	files = append(files, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum"))
	key, err = sourceKey(ctx, dir, files, kubeFlags(version)...)
	return key, version, err
}

// sourceKey hashes the Go version, the platform, more strings, and files by
// base name and content.
func sourceKey(ctx context.Context, dir string, files []string, more ...string) (string, error) {
	cmd := goCommand(ctx, dir, "env", "GOVERSION")
	goVersion, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its version: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s\n%q\n", strings.TrimSpace(string(goVersion)), runtime.GOOS, runtime.GOARCH, more)
	slices.Sort(files)
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("hash sources: %w", err)
		}
		fmt.Fprintf(h, "%s %d\n%s", filepath.Base(path), len(b), b)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// kubeFlags are the linker's flags. Without the versions kubectl, the API
// server and nodes would call themselves v0.0.0-master. The date is fixed:
// the same sources make the same binary.
func kubeFlags(version string) []string {
	part := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, v := range [][2]string{{"gitVersion", version}, {"gitMajor", part[0]}, {"gitMinor", part[1]},
			{"gitCommit", "test"}, {"gitTreeState", "clean"}, {"buildDate", "2026-01-01T00:00:00Z"}} {
			flags = append(flags, "-X", pkg+"."+v[0]+"="+v[1])
		}
	}
	return flags
}

func buildKube(ctx context.Context, source, version, dir string) error {
	if err := goBuild(ctx, source, filepath.Join(dir, "kube"), ".", kubeFlags(version)...); err != nil {
		return err
	}
	for _, name := range kubePrograms() {
		if err := os.Symlink("kube", filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("name program: %w", err)
		}
	}
	return nil
}

// goBuild builds a static binary under nice. The flags are the same for every
// build of the module: with others Go would compile all packages once more.
// Without tables for a debugger compiling takes a seventh less.
func goBuild(ctx context.Context, dir, out, pkg string, ldflags ...string) error {
	cmd := goCommand(ctx, dir, "build", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-ldflags", strings.Join(ldflags, " "), "-o", out, pkg)
	if nice, err := exec.LookPath("nice"); err == nil {
		cmd.Args = append([]string{nice, "-n", "10"}, cmd.Args...)
		cmd.Path = nice
	}
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s in %s: %w\n%s", pkg, dir, err, output)
	}
	return nil
}

func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	// With nice in between, go's own children keep the pipe open when ctx ends.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}
