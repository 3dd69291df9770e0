package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be its own child.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Command {
		if err := Serve(os.Args[2:], os.Stdin, os.Stdout, jobs()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func jobs() map[string]Job {
	try := func(what func() error) Job {
		return func(json.RawMessage, Files) (any, error) {
			if err := what(); err != nil {
				return "no: " + err.Error(), nil
			}
			return "it worked", nil
		}
	}
	return map[string]Job{
		"echo": func(in json.RawMessage, f Files) (any, error) {
			data, err := f.Read("a.txt")
			if err != nil {
				return nil, err
			}
			list, err := f.List(".")
			return fmt.Sprintf("%s %s %d %d", in, data, len(list), len(os.Environ())), err
		},
		"missing": func(_ json.RawMessage, f Files) (any, error) {
			_, err := f.Read("nowhere")
			return errors.Is(err, fs.ErrNotExist), nil
		},
		"open": try(func() error { _, err := os.ReadFile("/etc/hostname"); return err }),
		"dial": try(func() error { _, err := net.DialTimeout("tcp", "127.0.0.1:1", time.Second); return err }),
		"dns": try(func() error {
			// As Merlon is built: C's resolver waits for ever without a file descriptor.
			_, err := (&net.Resolver{PreferGo: true}).LookupHost(context.Background(), "example.com")
			return err
		}),
		"exec": try(func() error { return exec.Command("/bin/true").Run() }),
		"loop": func(json.RawMessage, Files) (any, error) {
			//lint:ignore SA5002 it is to be stopped from outside
			for {
			}
		},
		"bomb": func(json.RawMessage, Files) (any, error) {
			var all [][]byte
			for {
				all = append(all, bytes.Repeat([]byte("x"), 16<<20))
				if len(all) > 1<<20 { // 16 TiB
					return all, nil
				}
			}
		},
		"deep":  func(json.RawMessage, Files) (any, error) { return deep(0), nil },
		"panic": func(json.RawMessage, Files) (any, error) { panic("no") },
		"noise": func(json.RawMessage, Files) (any, error) {
			fmt.Println("this is no frame, it is what a library prints")
			return nil, nil
		},
		"exit": func(json.RawMessage, Files) (any, error) { os.Exit(0); return nil, nil },
	}
}

//lint:ignore SA5007 it is to be stopped from outside
func deep(n int) int { return deep(n+1) + 1 }

type memFiles map[string]string

func (m memFiles) Read(name string) ([]byte, error) {
	s, ok := m[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(s), nil
}

func (m memFiles) List(string) ([]Entry, error) {
	var out []Entry
	for name := range m {
		out = append(out, Entry{Name: name})
	}
	return out, nil
}

func runner(t *testing.T, l Limits) *Runner {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &Runner{Self: []string{exe}, Limits: l}
}

func TestChild(t *testing.T) {
	t.Setenv("MERLON_TEST_SECRET", "x")
	var got string
	err := runner(t, Limits{}).Run(context.Background(), "echo", 7, memFiles{"a.txt": "hello"}, &got)
	if err != nil || got != "7 hello 1 2" {
		t.Fatalf("got %q, %v: want the input, the file, one name, and nothing of our environment", got, err)
	}
	var missing bool
	if err := runner(t, Limits{}).Run(context.Background(), "missing", nil, memFiles{}, &missing); err != nil || !missing {
		t.Fatalf("a file that is not there: got %v, %v", missing, err)
	}
}

// What a child tries behind the back of the protocol fails.
func TestNothingElseCanBeOpened(t *testing.T) {
	for _, name := range []string{"open", "dial", "dns", "exec"} {
		var got string
		if err := runner(t, Limits{}).Run(context.Background(), name, nil, memFiles{}, &got); err != nil || !strings.HasPrefix(got, "no: ") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestFailures(t *testing.T) {
	small := Limits{Memory: 256 << 20, CPU: time.Second, Time: 20 * time.Second}
	for name, kind := range map[string]string{
		"loop": TimeLimit, "bomb": MemoryLimit, "deep": MemoryLimit, "noise": Broken, "exit": Broken,
	} {
		limits := small
		if kind != TimeLimit { // on a busy machine a second is soon over
			limits.CPU = 20 * time.Second
		}
		var f *Failure
		if err := runner(t, limits).Run(context.Background(), name, nil, memFiles{}, new(any)); !errors.As(err, &f) || f.Kind != kind {
			t.Errorf("%s: got %v, want a failure of kind %s", name, err, kind)
		}
	}
	var r *Refusal
	if err := runner(t, small).Run(context.Background(), "panic", nil, memFiles{}, new(any)); !errors.As(err, &r) {
		t.Errorf("panic: got %v, want a refusal", err)
	}
	var f *Failure
	if err := (&Runner{}).Run(context.Background(), "echo", nil, memFiles{}, new(any)); !errors.As(err, &f) || f.Kind != NotStarted {
		t.Errorf("without a binary: got %v", err)
	}
}

func FuzzFrame(f *testing.F) {
	var b bytes.Buffer
	if err := writeFrame(&b, frameResult, result{Error: "x"}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("r\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, got, err := readFrame(bytes.NewReader(data), "qr")
		if err == nil && (len(got)+5 > len(data) || kind != 'q' && kind != 'r') {
			t.Fatalf("a frame of %d bytes out of %d", len(got), len(data))
		}
	})
}
