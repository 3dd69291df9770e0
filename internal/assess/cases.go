package assess

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/vuln"
)

// newestMinor is the newest Kubernetes minor that Merlon knows.
const newestMinor = 37

// NewestMinor returns the newest Kubernetes minor version that Merlon knows,
// which is what it judges for unless told otherwise.
func NewestMinor() int { return newestMinor }

// RunCases runs every case of a control through the engine, those in the short
// form in every kind and container type too. It returns what did not hold, one
// line each, with file and line.
func RunCases(lib *control.Library, c *control.Control) (ran int, failures []string) {
	cases, err := c.Cases()
	if err != nil {
		return 0, []string{err.Error()}
	}
	compiled, err := c.Compile(lib, nil)
	if err == nil {
		err = compiled.Check()
	}
	if err != nil {
		return 0, []string{err.Error()}
	}
	mended := false
	for i := range cases {
		for _, v := range variants(c, &cases[i]) {
			ran++
			problem := runCase(lib, c, &cases[i], v)
			if problem == "" && cases[i].Verdict == finding.Fail && len(c.Patch) > 0 {
				var done bool
				done, problem = patchCase(lib, c, &cases[i], v)
				mended = mended || done
			}
			if problem != "" {
				failures = append(failures, fmt.Sprintf("%s:%d: %s%s: %s", c.File, cases[i].Line, cases[i].Name, v.label, problem))
			}
		}
	}
	if c.Mends() && !mended && len(failures) == 0 {
		failures = append(failures, c.File+": the patch mends none of the failing cases: each asks a person")
	}
	return ran, failures
}

// patchCase holds that a failing case, patched, passes its own control. It
// reports false for a case whose patch asks a person.
func patchCase(lib *control.Library, c *control.Control, cs *control.Case, v variant) (mended bool, problem string) {
	edits := make([][]fact.Edit, len(v.objects))
	asked := false
	amend := func(_ *finding.Finding, o *fact.Object, a control.Amendment, err error) {
		switch {
		case err != nil:
			problem = "the patch: " + err.Error()
		case len(a.Asks) > 0:
			asked = true
		case len(a.Edits) == 0:
			problem = "the patch changes nothing"
		default:
			edits[o.Origin.Doc] = append(edits[o.Origin.Doc], a.Edits...)
		}
	}
	if _, err := assessCase(lib, c, cs, v.objects, amend); err != nil || problem != "" || asked {
		return false, problem
	}
	patched := slices.Clone(v.objects)
	for i := range patched {
		for _, e := range fact.Compose(edits[i]) {
			var err error
			if patched[i], err = e.Apply(patched[i]); err != nil {
				return false, "the patch: " + err.Error()
			}
		}
	}
	a, err := assessCase(lib, c, cs, patched, nil)
	switch {
	case err != nil:
		return false, err.Error()
	case a.tallies[0].fail+a.tallies[0].unknown > 0:
		return false, "the patched case still fails" + told(a)
	}
	return true, ""
}

// variant is one form in which a case is run.
type variant struct {
	label   string
	objects []fact.Value
	err     error
}

func variants(c *control.Control, cs *control.Case) []variant {
	out := []variant{{objects: cs.Objects}}
	if cs.Short == "" || c.Scope.Each != control.EachPod && c.Scope.Each != control.EachContainer {
		return out
	}
	if len(c.Scope.Kinds) == 0 {
		for _, kind := range control.WrapKinds[1:] {
			if v, ok, err := cs.Wrapped(kind, "container"); ok || err != nil {
				out = append(out, variant{" (in " + kind + ")", []fact.Value{v}, err})
			}
		}
	}
	if c.Scope.Each == control.EachContainer && len(c.Scope.Containers) == 0 {
		for _, t := range []string{"init", "sidecar", "ephemeral"} {
			if v, ok, err := cs.Wrapped("Pod", t); ok || err != nil {
				out = append(out, variant{" (" + t + " container)", []fact.Value{v}, err})
			}
		}
	}
	return out
}

func runCase(lib *control.Library, c *control.Control, cs *control.Case, v variant) string {
	if v.err != nil {
		return v.err.Error()
	}
	a, err := assessCase(lib, c, cs, v.objects, nil)
	if err != nil {
		return err.Error()
	}
	return compareCase(cs, v, a)
}

func assessCase(lib *control.Library, c *control.Control, cs *control.Case, objects []fact.Value, amend func(*finding.Finding, *fact.Object, control.Amendment, error)) (*Assessment, error) {
	minor := newestMinor
	if cs.Kubernetes != "" {
		m, err := strconv.Atoi(strings.TrimPrefix(strings.TrimPrefix(cs.Kubernetes, "v"), "1."))
		if err != nil {
			return nil, fmt.Errorf("kubernetes %q: not a version such as 1.30", cs.Kubernetes)
		}
		minor = m
	}
	var changes []fact.Change
	for i, root := range objects {
		o, ok := fact.NewObject(root, fact.Origin{Source: "case", File: "case", Doc: i})
		if !ok {
			return nil, errors.New("not a Kubernetes object: no apiVersion or kind")
		}
		changes = append(changes, fact.Change{Op: fact.Upsert, Object: &o})
	}
	var problem error
	advisories := func() []*vuln.Advisory {
		list, err := vuln.Kubernetes()
		problem = err
		return list
	}
	e := New(lib, []*control.Control{c}, Options{Minor: minor, Advisories: advisories, Params: map[string]map[string]any{c.ID: cs.Params}, Workers: 1, Amend: amend})
	a, err := e.Assess((&fact.Snapshot{}).Apply(changes...))
	return a, errors.Join(err, problem)
}

func compareCase(cs *control.Case, v variant, a *Assessment) string {
	t := a.tallies[0]
	got := finding.NotApplicable
	switch {
	case t.fail > 0:
		got = finding.Fail
	case t.unknown > 0:
		got = finding.Unknown
	case t.pass > 0:
		got = finding.Pass
	}
	// Nothing to judge is as good as a pass; and beside the case's container a
	// variant has another one, which may be judged where the case is not.
	quiet := got == finding.NotApplicable && cs.Verdict == finding.Pass ||
		got == finding.Pass && cs.Verdict == finding.NotApplicable && v.label != ""
	if got != cs.Verdict && !quiet {
		return fmt.Sprintf("verdict %s, expected %s%s", got, cs.Verdict, told(a))
	}
	if cs.Verdict != finding.Fail {
		return ""
	}
	if n := len(a.findings); cs.Count > 0 && n != cs.Count {
		return fmt.Sprintf("%d findings, expected %d%s", n, cs.Count, told(a))
	}
	if cs.At != "" && v.label == "" {
		for _, f := range a.findings {
			if len(f.Evidence) > 0 && f.Evidence[0].Path == cs.At || at(v.objects, cs.At).Pos() == (fact.Pos{Line: f.Location.Line, Column: f.Location.Column}) {
				return ""
			}
		}
		return fmt.Sprintf("no finding at %s%s", cs.At, told(a))
	}
	return ""
}

// at finds the value at a path of positions in the first object.
func at(objects []fact.Value, path string) fact.Value {
	v := objects[0]
	for step := range strings.SplitSeq(strings.ReplaceAll(path, "[", ".["), ".") {
		if index, ok := strings.CutPrefix(step, "["); ok {
			i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
			if err != nil {
				return fact.Value{}
			}
			v = v.Index(i)
		} else {
			v = v.Get(fact.K(step))
		}
	}
	return v
}

// told lists what was found, for the author of a case.
func told(a *Assessment) string {
	var b strings.Builder
	for _, f := range a.findings {
		b.WriteString("\n    " + string(f.Verdict) + ": " + f.Message)
		for _, e := range f.Evidence {
			b.WriteString("\n      " + e.Path + " = " + e.Value)
		}
	}
	return b.String()
}
