package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"github.com/merlon-security/merlon/test/bench/corpus"
)

func digest(c corpus.Corpus) string {
	h := sha256.New()
	for name, data := range c.Files() {
		fmt.Fprintf(h, "%s %d\n", name, len(data))
		h.Write(data)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// A corpus is a function of its seed, and a workload is the same in all sizes.
func TestCorpusIsDeterministic(t *testing.T) {
	for _, different := range []bool{false, true} {
		c := corpus.Corpus{Workloads: 450, Different: different, Seed: 7}
		first, second := digest(c), digest(c)
		if first != second {
			t.Errorf("%s: two runs differ", c.Name())
		}
		other := c
		other.Seed = 8
		if first == digest(other) {
			t.Errorf("%s: the seed has no effect", c.Name())
		}
		small, beginning := c, []byte(nil)
		small.Workloads = 200
		for _, data := range small.Files() {
			beginning = data
		}
		for _, data := range c.Files() {
			if !bytes.Equal(data, beginning) {
				t.Errorf("%s: the first 200 workloads depend on how many follow", c.Name())
			}
			break
		}
	}
}

// documents decodes a corpus as a scan does.
func documents(t *testing.T, c corpus.Corpus) []yamldoc.Document {
	t.Helper()
	var out []yamldoc.Document
	for name, data := range c.Files() {
		r := yamldoc.NewReader(bytes.NewReader(data), name, yamldoc.Limits{})
		for {
			d, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, d)
		}
	}
	return out
}

// Every document is one that the API server would take, and no two have a name
// in common.
func TestCorpusIsAccepted(t *testing.T) {
	for _, different := range []bool{false, true} {
		c := corpus.Corpus{Workloads: 1000, Different: different, Seed: 1}
		types := yamldoc.NewTypes()
		seen := map[string]bool{}
		for _, d := range documents(t, c) {
			for _, p := range append(d.Problems, types.Check(d.Root)...) {
				t.Fatalf("%s: line %d: %s: %s", c.Name(), p.Pos.Line, p.Path, p.Message)
			}
			o, ok := fact.NewObject(d.Root, fact.Origin{})
			if !ok {
				t.Fatalf("%s: line %d: not an object", c.Name(), d.Line)
			}
			id := o.GroupKind() + " " + o.Namespace + "/" + o.Name
			if seen[id] {
				t.Fatalf("%s: %s twice", c.Name(), id)
			}
			seen[id] = true
		}
	}
}

// The proportions are those that were promised: about 3.6 documents and 1.8 KB
// a workload.
func TestCorpusHasItsProportions(t *testing.T) {
	c := corpus.Corpus{Workloads: 2000, Seed: 1}
	size, err := c.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if n := float64(size.Documents) / 2000; n < 3.5 || n > 3.8 {
		t.Errorf("%.2f documents a workload", n)
	}
	if n := float64(size.Bytes) / 2000; n < 1700 || n > 1900 {
		t.Errorf("%.0f bytes a workload", n)
	}
	if size.Files != 10 {
		t.Errorf("%d files", size.Files)
	}
}

// shown writes a value with all below it, as a key of a map.
func shown(v fact.Value) string {
	switch v.Kind() {
	case fact.Map, fact.List:
		s := v.Kind().String() + "("
		for c := range v.Children() {
			s += c.Key().String() + ":" + shown(c) + ","
		}
		return s + ")"
	case fact.Int:
		return fmt.Sprint(v.Int())
	case fact.Bool:
		return fmt.Sprint(v.Bool())
	}
	return v.Str()
}

// traits are the fields in which no two workloads of a different corpus may
// agree, as text, by the name of the field.
func traits(o *fact.Object) map[string][]string {
	out := map[string][]string{}
	note := func(name string, v fact.Value) {
		if v.Present() {
			out[name] = append(out[name], shown(v))
		}
	}
	note("labels", o.Root.Get(fact.K("metadata")).Get(fact.K("labels")))
	for _, p := range fact.PodTemplates(o) {
		for _, field := range []string{"securityContext", "serviceAccountName", "volumes", "nodeSelector", "priorityClassName"} {
			note("pod "+field, p.Spec.Get(fact.K(field)))
		}
		note("pod metadata", p.Metadata)
		for _, c := range p.Containers() {
			for _, field := range []string{"name", "image", "command", "args", "ports", "resources", "readinessProbe", "livenessProbe", "securityContext", "volumeMounts", "envFrom"} {
				note(field, c.Value.Get(fact.K(field)))
			}
			for e := range c.Value.Get(fact.K("env")).Children() {
				note("env "+e.Get(fact.K("name")).Str(), e)
			}
		}
	}
	if o.Kind == "Role" || o.Kind == "Service" || o.Kind == "Ingress" {
		note(o.Kind, o.Root.Get(fact.K("rules")))
		note(o.Kind, o.Root.Get(fact.K("spec")))
	}
	return out
}

// shared counts the values that two workloads have in common, by field.
func shared(t *testing.T, c corpus.Corpus) map[string]int {
	t.Helper()
	owner := map[string]string{}
	out := map[string]int{}
	for _, d := range documents(t, c) {
		o, ok := fact.NewObject(d.Root, fact.Origin{})
		if !ok || o.Kind == "Namespace" {
			continue
		}
		for field, values := range traits(&o) {
			for _, v := range values {
				key := field + "\x00" + v
				if first, ok := owner[key]; ok && first != o.Name {
					out[field]++
				}
				owner[key] = o.Name
			}
		}
	}
	return out
}

func TestDifferentCorpusSharesNothing(t *testing.T) {
	c := corpus.Corpus{Workloads: 1000, Different: true, Seed: 1}
	for field, n := range shared(t, c) {
		t.Errorf("%s: %d values shared between workloads", field, n)
	}
	// The realistic one repeats itself, or the comparison says nothing.
	c.Different = false
	realistic := shared(t, c)
	for _, field := range []string{"resources", "securityContext", "pod securityContext", "readinessProbe"} {
		if realistic[field] < 100 {
			t.Errorf("realistic corpus: only %d shared values of %s", realistic[field], field)
		}
	}
}

func TestMedianTakesTheMiddle(t *testing.T) {
	got := median([]cost{{cpu: 3, anon: 1}, {cpu: 1, anon: 2}, {cpu: 2, anon: 9}})
	if got.cpu != 2 || got.anon != 2 {
		t.Errorf("got %+v", got)
	}
	// In each round twice as much, though the second round was slow.
	if r := against([]cost{{cpu: 2}, {cpu: 8}, {cpu: 2}}, []cost{{cpu: 1}, {cpu: 4}, {cpu: 1}}); r != 2 {
		t.Errorf("got %v, want 2", r)
	}
}

func TestMeasureSeesMemoryAndFailure(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ok := command{name: "help", args: []string{self, "-test.run", "^TestMedian"}}
	got, err := ok.measure(t.Context())
	if err != nil || got.anon <= 0 || got.cpu <= 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	bad := command{name: "bad", args: []string{self, "-test.nosuchflag"}}
	if _, err := bad.measure(t.Context()); !errors.Is(err, errUnfit) {
		t.Errorf("got %v, want %v", err, errUnfit)
	}
	if status := []byte("Name:\tx\nRssAnon:\t    2048 kB\n"); field(status, "RssAnon:") != 2 {
		t.Errorf("got %v MB, want 2", field(status, "RssAnon:"))
	}
}

// The limit that decodes sees every document.
func TestDecodeSeesEveryDocument(t *testing.T) {
	dir := t.TempDir()
	size, err := corpus.Corpus{Workloads: 50, Seed: 3}.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]int{"decode": size.Documents, "read": size.Bytes} {
		var out, errs bytes.Buffer
		if code := runLimit(what, dir, &out, &errs); code != 0 || out.String() != fmt.Sprintln(want) {
			t.Errorf("%s: exit code %d, %q, want %d %s", what, code, out.String(), want, errs.String())
		}
	}
}

// A peer that finds something exits with 1; one that fails is told and not asked
// for a larger corpus.
func TestPeersOnPath(t *testing.T) {
	bin, dir := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for name, code := range map[string]string{"kube-linter": "1", "polaris": "7"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\nexit "+code+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &session{request: &request{limit: time.Minute}, dir: dir, progress: io.Discard}
	for _, n := range []int{100, 1000} {
		s.sets = append(s.sets, &set{Corpus: corpus.Corpus{Workloads: n}, dir: dir, costs: map[string]cost{}})
	}
	var out strings.Builder
	if err := s.peers(&out); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "kube-linter"); got != 2 {
		t.Errorf("kube-linter %d times in:\n%s", got, out.String())
	}
	if got := strings.Count(out.String(), "polaris: did not do its work: exit code 7"); got != 1 {
		t.Errorf("polaris failed %d times in:\n%s", got, out.String())
	}
	out.Reset()
	t.Setenv("PATH", dir)
	if err := s.peers(&out); err != nil || out.String() != "peers on PATH: none\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestGrowthIsByTen(t *testing.T) {
	s := &session{}
	for n, cpu := range map[int]float64{100: 0.1, 1000: 1, 10000: 12} {
		s.sets = append(s.sets, &set{Corpus: corpus.Corpus{Workloads: n}, costs: map[string]cost{scan: {cpu: cpu}}})
	}
	if g, ok := s.growth(s.find(false, 10000), scan); !ok || g != 1.2 {
		t.Errorf("got %v, %v", g, ok)
	}
	if _, ok := s.growth(s.find(false, 100), scan); ok {
		t.Error("growth of the smallest")
	}
	if (&request{quick: true}).sizes()[1] != 1000 || longest < time.Minute {
		t.Error("quick means 100 and 1,000")
	}
}
