package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/frameworks"
	"github.com/merlon-security/merlon/internal/finding"
)

// fixtures is a session on the small oracles of testdata, which have controls
// and maps of their own: they hold whatever Merlon ships.
func fixtures(t *testing.T, j judge) *session {
	t.Helper()
	cat, err := loadCatalogue(os.DirFS("testdata/controls"), os.DirFS("testdata/frameworks"))
	if err != nil {
		t.Fatal(err)
	}
	excluded, err := loadExcluded(os.DirFS("testdata"))
	if err != nil {
		t.Fatal(err)
	}
	return &session{data: data{"testdata"}, catalogue: cat, judge: j, maps: os.DirFS("testdata/maps"), excluded: excluded}
}

func runFixtures(t *testing.T, j judge) map[string]*result {
	t.Helper()
	s := fixtures(t, j)
	names, err := s.data.names()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	res, err := s.run(names, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	if stderr.Len() > 0 {
		t.Errorf("told: %s", &stderr)
	}
	out := map[string]*result{}
	for _, o := range res.Oracles {
		out[o.Name] = o
	}
	return out
}

// The fixtures agree, case for case, except those whose id begins with
// "wrong/": they expect something that does not hold.
func TestFixtures(t *testing.T) {
	for name, r := range runFixtures(t, newEngines()) {
		cases, err := data{"testdata"}.cases(name)
		if err != nil {
			t.Fatal(err)
		}
		wrong := 0
		for _, c := range cases {
			if strings.HasPrefix(c.ID, "wrong/") {
				wrong++
			}
		}
		if r.Total != len(cases) || r.Agreed != len(cases)-wrong-r.Excluded {
			t.Errorf("%s: %d of %d agreed, %d left out; want %d to agree", name, r.Agreed, r.Total, r.Excluded, len(cases)-wrong-r.Excluded)
		}
		for _, d := range r.Disagreements {
			if !strings.HasPrefix(d.Case, "wrong/") {
				t.Errorf("%s: %s: expected %s, got %s %q %q", name, d.Case, d.Expected, d.Got, d.Findings, d.Notes)
			}
		}
	}
}

func TestEveryAdapterHasFixtures(t *testing.T) {
	got := runFixtures(t, newEngines())
	for _, o := range oracles() {
		if o.run != nil && got[o.name] == nil {
			t.Errorf("no fixtures for %s", o.name)
		}
	}
	if n := len(oracles()); n != 26 {
		t.Errorf("%d oracles are known, ORACLES.md has 26", n)
	}
}

func TestGroups(t *testing.T) {
	got := runFixtures(t, newEngines())
	for name, want := range map[string][3]int{
		"trivy-rego-tests/ksv":          {6, 8, 0},
		"trivy-rego-tests/kcv":          {0, 2, 0},
		"kubescape-rule-tests/workload": {8, 13, 0},
		"kubescape-rule-tests/rbac":     {4, 4, 0},
		"kubescape-rule-tests/network":  {1, 1, 0},
		"kubescape-rule-tests/host":     {1, 1, 0},
		"kubescape-rule-tests/cloud":    {0, 1, 1},
		"kyverno-policy-tests/cel":      {0, 1, 0},
		"netpol-analyzer-connlist/core": {2, 4, 0},
	} {
		oracle, _, _ := strings.Cut(name, "/")
		found := false
		for _, g := range got[oracle].Groups {
			if g.Name == name {
				found = true
				if have := [3]int{g.Agreed, g.Total, g.Excluded}; have != want {
					t.Errorf("%s: agreed, total, excluded are %v, want %v", name, have, want)
				}
			}
		}
		if !found {
			t.Errorf("no group %s", name)
		}
	}
}

// A wrong engine must lower the figure of every oracle that has an adapter,
// among the cases whose expectation is sound.
func TestWrongVerdictsLowerTheFigures(t *testing.T) {
	right := runFixtures(t, newEngines())
	wrong := map[string]map[string]*result{
		"an engine that finds nothing":    runFixtures(t, &liar{newEngines(), false}),
		"an engine that finds everything": runFixtures(t, &liar{newEngines(), true}),
	}
	for what, results := range wrong {
		for _, o := range oracles() {
			if o.run == nil || o.apart || o.name == "kubernetes-goat" && strings.HasSuffix(what, "everything") {
				continue // goat's cases only say what must be found
			}
			if got, want := sound(results[o.name]), sound(right[o.name]); got >= want {
				t.Errorf("%s: %s agrees with %d cases, the right one with %d", o.name, what, got, want)
			}
		}
	}
}

// sound counts the cases that agree, without those that are meant not to.
func sound(r *result) int {
	n := r.Agreed
	for _, d := range r.Disagreements {
		if strings.HasPrefix(d.Case, "wrong/") {
			n++
		}
	}
	return n
}

// liar turns an engine's verdicts into all failures or none.
type liar struct {
	engine judge
	fail   bool
}

func (l *liar) judge(q *question, in *input) (*judgement, error) {
	j, err := l.engine.judge(q, in)
	if err != nil {
		return nil, err
	}
	out := &judgement{}
	for _, u := range j.units {
		u.verdict = finding.Pass
		if l.fail {
			u.verdict = finding.Fail
			h := hit{finding: &finding.Finding{Control: u.control, Severity: finding.Critical}, verdict: finding.Fail, object: u.object, container: u.container, ctype: u.ctype}
			if u.object != nil {
				h.kind, h.namespace, h.name = u.object.Kind, u.object.InNamespace(), u.object.Name
			}
			out.hits = append(out.hits, h)
		}
		out.units = append(out.units, u)
	}
	return out, nil
}

// One verdict that is wrong lowers the figure by one case.
func TestOneWrongVerdict(t *testing.T) {
	right := runFixtures(t, newEngines())["trivy-rego-tests"].Agreed
	got := runFixtures(t, &forgetful{engine: newEngines()})["trivy-rego-tests"].Agreed
	if got != right-1 {
		t.Errorf("with one wrong verdict %d cases agree, want %d", got, right-1)
	}
}

// forgetful drops the findings of one case.
type forgetful struct {
	engine judge
	done   bool
}

func (f *forgetful) judge(q *question, in *input) (*judgement, error) {
	j, err := f.engine.judge(q, in)
	if err == nil && !f.done && len(in.documents) > 0 && bytes.Contains(in.documents[0].text, []byte(`"FOWNER"]`)) {
		f.done, j.hits = true, nil
	}
	return j, err
}

// The maps parse, name controls that exist, and settings that they have. All
// that is wrong is told at once: several people write these files.
func TestMaps(t *testing.T) {
	s, err := shipped(data{}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loadCatalogue(controls.FS, frameworks.FS); err != nil {
		t.Errorf("controls: %v", err)
	}
	for _, o := range oracles() {
		if o.run == nil || o.name == "kubesec-assets" {
			continue
		}
		table, err := loadTable(s.maps, o.name, o.family)
		if err != nil {
			t.Errorf("%v", err)
		}
		for _, r := range table.all() {
			for _, problem := range s.check(r) {
				t.Errorf("%s: %s: %s", r.place(), r.id, problem)
			}
		}
	}
}

// check lists what is wrong with a row.
func (s *session) check(r *row) []string {
	var out []string
	has := map[string]bool{}
	for _, id := range r.controls {
		c := s.catalogue.controls[id]
		if c == nil {
			out = append(out, "there is no control "+id)
			continue
		}
		for name := range c.Params {
			has[name] = true
		}
	}
	for name := range r.options.params {
		if !has[name] {
			out = append(out, "none of the controls has a setting "+name)
		}
	}
	for _, t := range r.options.config {
		if !has[t.param] {
			out = append(out, "none of the controls has a setting "+t.param)
		}
	}
	if len(r.controls) == 0 && r.note == "" {
		out = append(out, "not answered, and no note says why")
	}
	return out
}

func TestNoOracles(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-oracles", t.TempDir()}, &stdout, &stderr); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	if stdout.Len() > 0 || strings.Count(stderr.String(), "\n") != 1 || !strings.Contains(stderr.String(), "no oracles in") {
		t.Errorf("told %q %q, want one line", &stdout, &stderr)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-oracles", "testdata", "-oracle", "nobody"}, {"-o", "xml"}, {"-nothing"}, {"file"}} {
		var stdout, stderr bytes.Buffer
		if code := run(args, &stdout, &stderr); code != exitUsage || stderr.Len() == 0 {
			t.Errorf("%q: exit code %d, told %q", args, code, &stderr)
		}
	}
}

func TestOutput(t *testing.T) {
	s := fixtures(t, newEngines())
	res, err := s.run([]string{"kube-score-fixtures", "an-oracle-of-tomorrow"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := res.write(&text, &request{verbose: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"kube-score-fixtures 5/7 excluded=1\n", "an-oracle-of-tomorrow 0/1 excluded=0\n",
		"kube-score-fixtures wrong/second object\n  check    Container Limits\n  expected pass (GradeAllOK)\n  got      fail\n",
		"    demo/unset-limit: Pod default/a, container app: container app has no limit (spec.containers[0].resources)\n",
		"kube-score-fixtures left/out\n  left out: lost its input\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in:\n%s", want, &text)
		}
	}
	text.Reset()
	if err := res.write(&text, &request{json: true}); err != nil {
		t.Fatal(err)
	}
	var back results
	if err := json.Unmarshal(text.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if o := back.Oracles[0]; o.Agreed != 5 || len(o.Disagreements) != 1 || len(o.Left) != 1 {
		t.Errorf("JSON lost something: %s", &text)
	}
}
