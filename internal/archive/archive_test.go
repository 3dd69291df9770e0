package archive

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

func snapshotOf(t testing.TB, text string) *fact.Snapshot {
	t.Helper()
	var changes []fact.Change
	r := yamldoc.NewReader(strings.NewReader(text), "f.yaml", yamldoc.Limits{})
	for {
		d, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := fact.NewObject(d.Root, fact.Origin{Source: "manifest", File: "dir/f.yaml", Doc: d.Index}); ok {
			o.Waivers = d.Notes
			changes = append(changes, fact.Change{Object: &o})
		}
	}
	return (&fact.Snapshot{}).Apply(changes...)
}

func saved(t testing.TB, s *fact.Snapshot, key ed25519.PrivateKey) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, About{Merlon: "test", Target: []string{"dir"}}, s, key); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func loaded(t testing.TB, data []byte) *fact.Snapshot {
	t.Helper()
	_, s, err := Read(bytes.NewReader(data), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const small = `apiVersion: v1
kind: Pod
metadata:
  name: web # merlon:waive workload/host-network until=2099-01-01 reason=known
  namespace: shop
spec:
  hostNetwork: true
  priority: -7
  containers:
    - {name: app, image: "web:1", ratio: 0.5, stdin: null, command: [run, it]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
`

func TestRoundTrip(t *testing.T) {
	s := snapshotOf(t, small).Apply(
		fact.Change{Op: fact.GapOpened, Gap: fact.Gap{Kind: "forbidden", Source: "cluster", Subject: "list secrets", Hides: "Secret", Message: "no"}},
		fact.Change{Object: &fact.Object{}, Op: fact.Delete},
	)
	pod := *s.Objects()[0]
	pod.Pods, pod.Alias, pod.Partial = 3, "alias", true
	s = s.Apply(fact.Change{Object: &pod})
	got := loaded(t, saved(t, s, nil))
	if d := cmp.Diff(s.Gaps(), got.Gaps()); d != "" {
		t.Error(d)
	}
	if s.Len() != got.Len() {
		t.Fatalf("%d objects, want %d", got.Len(), s.Len())
	}
	for i, o := range s.Objects() {
		g := got.Objects()[i]
		if !fact.Equal(o.Root, g.Root) || o.Ref() != g.Ref() || o.Origin != g.Origin || o.Pods != g.Pods || o.Alias != g.Alias || o.Partial != g.Partial {
			t.Errorf("%s is not what it was", o.Name)
		}
		if d := cmp.Diff(o.Waivers, g.Waivers); d != "" {
			t.Error(d)
		}
		places(t, o.Root, g.Root)
	}
}

// TestRendered keeps where what was rendered was written.
func TestRendered(t *testing.T) {
	pod := *snapshotOf(t, small).Objects()[0]
	pod.Origin.World, pod.Origin.Root, pod.Name = "shop with prod.yaml", "shop", "a.yaml"
	image := pod.Root.At("spec", "containers").Index(0).At("image")
	token := pod.Root.At("metadata", "name")
	pod.Rendering = &fact.Rendering{
		Lines:  map[uint32]fact.Written{token.Pos().Line: {File: "shop/a.yaml", Pos: fact.Pos{Line: 7}, Root: "shop", Values: "name"}, 4000: {File: "elsewhere"}},
		Values: map[fact.Value]fact.Written{image: {File: "base/pod.yaml", Pos: fact.Pos{Line: 3, Column: 9}, Root: "base"}},
		Known:  fact.Ref{Kind: "Pod", Namespace: "default", Name: "w"},
	}
	got := loaded(t, saved(t, (&fact.Snapshot{}).Apply(fact.Change{Object: &pod}), nil)).Objects()[0]
	if got.Rendering == nil || got.Name != pod.Name || got.Origin != pod.Origin || got.Rendering.Known != pod.Rendering.Known || len(got.Rendering.Lines) != 1 {
		t.Fatalf("%+v of %+v", got.Rendering, got.Origin)
	}
	for _, path := range [][]any{{"metadata", "name"}, {"spec", "containers", 0, "image"}, {"spec"}} {
		v, w := pod.Root, got.Root
		for _, step := range path {
			switch x := step.(type) {
			case string:
				v, w = v.At(x), w.At(x)
			case int:
				v, w = v.Index(x), w.Index(x)
			}
		}
		at, line := pod.At(v)
		if again, l := got.At(w); again != at || l != line {
			t.Errorf("%v was written at %v, line %d; want %v, line %d", path, again, l, at, line)
		}
	}
}

func places(t *testing.T, a, b fact.Value) {
	t.Helper()
	if a.Pos() != b.Pos() || a.Key() != b.Key() {
		t.Errorf("%s lies at %v, want %v", a.Path(), b.Pos(), a.Pos())
	}
	for i := range a.Len() {
		places(t, a.Index(i), b.Index(i))
	}
}

// TestDamage changes, cuts and lengthens a file at every byte: it is refused each
// time, signed or not.
func TestDamage(t *testing.T) {
	_, key, err := ed25519.GenerateKey(bytes.NewReader(make([]byte, 64)))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []ed25519.PrivateKey{nil, key} {
		data := saved(t, snapshotOf(t, small), k)
		for i := range data {
			for _, bit := range []byte{1, 0x80} {
				bad := bytes.Clone(data)
				bad[i] ^= bit
				if _, _, err := Read(bytes.NewReader(bad), nil); err == nil {
					t.Fatalf("byte %d of %d was changed, and nobody noticed", i, len(data))
				}
			}
			if _, _, err := Read(bytes.NewReader(data[:i]), nil); err == nil {
				t.Fatalf("cut at byte %d of %d, and nobody noticed", i, len(data))
			}
		}
		if _, _, err := Read(bytes.NewReader(append(bytes.Clone(data), 0)), nil); err == nil {
			t.Fatal("a byte more, and nobody noticed")
		}
	}
}

func TestSignature(t *testing.T) {
	pub, key, err := ed25519.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{1}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{2}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	s := snapshotOf(t, small)
	if _, _, err := Read(bytes.NewReader(saved(t, s, key)), pub); err != nil {
		t.Error(err)
	}
	if _, _, err := Read(bytes.NewReader(saved(t, s, key)), other); err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("another key: %v", err)
	}
	if _, _, err := Read(bytes.NewReader(saved(t, s, nil)), pub); !errors.Is(err, ErrUnsigned) {
		t.Errorf("no signature: %v", err)
	}
}

// TestNoSecrets looks for values in the file, unpacked.
func TestNoSecrets(t *testing.T) {
	const canary = "Zq7-canary-W4x9Kp2"
	s := snapshotOf(t, strings.ReplaceAll(`
apiVersion: v1
kind: Secret
metadata: {name: s, annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"data":{"x":"CANARY"}}', db-password: CANARY}}
data: {x: CANARY, password: CANARY}
stringData: {y: CANARY, z: {deep: [CANARY]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {password: CANARY, app.conf: "url = postgres://u:CANARY@db/x\npassword = CANARY\n"}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
    - name: app
      args: [--token, CANARY, "--password=CANARY"]
      command: [sh, -c, "curl -u admin:CANARY https://x"]
      env: [{name: DB_PASSWORD, value: CANARY}]
      # merlon:waive workload/x until=2099-01-01 reason="password=CANARY"
      image: x
`, "CANARY", canary))
	got := loaded(t, saved(t, s, nil))
	if got.Len() != 3 {
		t.Fatalf("%d objects", got.Len())
	}
	var look func(o *fact.Object, v fact.Value)
	look = func(o *fact.Object, v fact.Value) {
		if strings.Contains(v.Text(), canary) {
			t.Errorf("%s %s: %s holds a secret: %s", o.Kind, o.Name, v.ShownPath(), v.Text())
		}
		for c := range v.Children() {
			look(o, c)
		}
	}
	for _, o := range got.Objects() {
		look(o, o.Root)
		for _, n := range o.Waivers {
			if strings.Contains(n.Text, canary) {
				t.Errorf("a comment holds a secret: %s", n.Text)
			}
		}
	}
}

// otherwise are controls whose verdict on some value is another one once it is
// hidden: what they look for in it is hidden with it.
var otherwise = map[string]string{
	"secret/secret-in-env": "values that the user excuses in merlon.yaml, by what they are",
}

// TestVerdictsOfSnapshots holds that a scan of a snapshot says what a scan of the
// original says, over all cases of all controls.
func TestVerdictsOfSnapshots(t *testing.T) {
	list, err := control.Load(controls.FS, true)
	if err != nil {
		t.Fatal(err)
	}
	lib := control.NewLibrary()
	ran := 0
	for _, c := range list {
		cases, err := c.Cases()
		if err != nil {
			t.Fatal(err)
		}
		for i := range cases {
			var changes []fact.Change
			for j, root := range cases[i].Objects {
				if o, ok := fact.NewObject(root, fact.Origin{Source: "case", File: "case", Doc: j}); ok {
					changes = append(changes, fact.Change{Object: &o})
				}
			}
			s := (&fact.Snapshot{}).Apply(changes...)
			want, got := verdicts(t, lib, c, &cases[i], s), verdicts(t, lib, c, &cases[i], loaded(t, saved(t, s, nil)))
			if ran++; want != got && otherwise[c.ID] == "" {
				t.Errorf("%s: case %q:\n%s\nof the snapshot:\n%s", c.ID, cases[i].Name, want, got)
			}
		}
	}
	t.Logf("%d cases", ran)
}

func verdicts(t *testing.T, lib *control.Library, c *control.Control, cs *control.Case, s *fact.Snapshot) string {
	a, err := assess.New(lib, []*control.Control{c}, assess.Options{Minor: assess.NewestMinor(), Workers: 1, Params: map[string]map[string]any{c.ID: cs.Params}}).Assess(s)
	if err != nil {
		t.Fatal(err)
	}
	r := a.Results()[0]
	lines := []string{fmt.Sprintf("pass %d fail %d unknown %d", r.Pass, r.Fail, r.Unknown)}
	for _, f := range a.Report(nil, nil).Findings {
		lines = append(lines, fmt.Sprintf("%s %s %+v x%d", f.Verdict, f.ID, f.Location, f.Count))
	}
	slices.Sort(lines[1:])
	return strings.Join(lines, "\n")
}

func FuzzRead(f *testing.F) {
	f.Add(saved(f, snapshotOf(f, small), nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, s, err := Read(bytes.NewReader(data), nil); err == nil {
			again := loaded(t, saved(t, s, nil))
			if again.Len() != s.Len() {
				t.Fatal("what is read cannot be written")
			}
		}
	})
}

// FuzzObjects reads blocks of objects past the checksums that keep a fuzzer out.
func FuzzObjects(f *testing.F) {
	e := newEncoder()
	for _, o := range snapshotOf(f, small).Objects() {
		e.object(o)
	}
	f.Add(e.buf)
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := newDecoder().objects(data)
		for _, o := range objects {
			if err == nil {
				newEncoder().object(o)
			}
		}
	})
}
