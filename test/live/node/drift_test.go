package node

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// drifts are the lines of merlon watch that tell drift.
type drifts struct {
	t     *testing.T
	lines chan string
}

// watchNode starts merlon watch --node and returns when it has looked once.
func watchNode(t *testing.T) *drifts {
	t.Helper()
	cmd := exec.Command(buildMerlon(t), "watch", "--node", "--every", "1s", "--changes-only", "-o", "json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &drifts{t, make(chan string, 10_000)}
	go func() {
		defer close(d.lines)
		in := bufio.NewScanner(out)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			d.lines <- in.Text()
		}
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		for range d.lines {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("interrupted, it ends with %v", err)
		}
	})
	for line := range d.lines {
		if strings.Contains(line, `"event":"watching"`) {
			return d
		}
	}
	t.Fatal("it ended before it had looked once")
	return nil
}

// next waits until a difference is told, of a thing at a path.
func (d *drifts) next(thing, path, before, after string) {
	d.t.Helper()
	var others []string
	end := time.After(2 * time.Minute)
	for {
		select {
		case line, open := <-d.lines:
			if !open {
				d.t.Fatalf("%s %s: it ended before that was told", thing, path)
			}
			var e struct {
				Drift struct {
					Name    string
					Changes []struct{ Path, Before, After string }
				}
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				d.t.Fatalf("%v\n%s", err, line)
			}
			for _, c := range e.Drift.Changes {
				if e.Drift.Name == thing && c.Path == path && c.Before == before && c.After == after {
					return
				}
				others = append(others, e.Drift.Name+" "+c.Path+": "+c.Before+" -> "+c.After)
			}
		case <-end:
			d.t.Fatalf("%s %s: %s -> %s is not told, but\n%s", thing, path, before, after, strings.Join(others, "\n"))
		}
	}
}

// TestDrift changes a flag, a file's mode and a certificate of a node that
// merlon watch looks at, and demands each with what it was and what it is.
func TestDrift(t *testing.T) {
	m := openNode(t)
	d := watchNode(t)
	file := filepath.Join(m.dir, "n1", "kubelet.yaml")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(file, info.Mode().Perm()) })
	was, is := info.Mode().Perm(), os.FileMode(0o606)
	if err := os.Chmod(file, is); err != nil {
		t.Fatal(err)
	}
	d.next("n1:kubelet-config:"+file, "spec.mode", "0"+octal(was), "0"+octal(is))

	t.Cleanup(func() { m.restart(t, "kubelet-n1") })
	m.restart(t, "kubelet-n1", "--event-qps=7")
	d.next("n1.kubelet", "spec.command", "", "--event-qps=7")
	m.restart(t, "kubelet-n1", "--event-qps=8")
	d.next("n1.kubelet", "spec.command", "--event-qps=7", "--event-qps=8")

	// A certificate of the same names and days is another one all the same.
	certificate := filepath.Join(m.dir, "pki", "kubelet-server-n1.crt")
	before, after := m.exchange(t, certificate)
	d.next("n1:"+certificate+":1", "spec.sha256", before, after)
	if err := os.WriteFile(certificate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.next("n1:"+certificate+":1", "", "there", "")
}

func octal(m os.FileMode) string {
	const digits = "01234567"
	return string([]byte{digits[m>>6&7], digits[m>>3&7], digits[m&7]})
}

// exchange puts a new certificate in the place of one, of the same names and
// dates and with another key, until the test ends. It returns both digests.
func (m *machine) exchange(t *testing.T, file string) (before, after string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Error(err)
		}
	})
	block, _ := pem.Decode(text)
	old, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := tls.LoadX509KeyPair(filepath.Join(m.dir, "pki", "ca.crt"), filepath.Join(m.dir, "pki", "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := *old
	template.SerialNumber = new(big.Int).Add(old.SerialNumber, big.NewInt(1))
	der, err := x509.CreateCertificate(rand.Reader, &template, ca.Leaf, key.Public(), ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return digest(block.Bytes), digest(der)
}
