package main

import (
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// override is a label by which kubeaudit lets something be: a waiver, in our
// words. Source: kubeaudit's documentation, "Override Errors"; the prefixes
// with audit.kubernetes.io are its older form.
type override struct {
	object    *fact.Object
	pod       fact.Value // spec
	container string     // "" for the whole pod
	name      string     // allow-privileged, allow-capability-chown …
	used      bool
}

// runKubeaudit compares pass and fail of one auditor. Labels waive findings of
// the controls that the map's rows `label:NAME` list; a row whose NAME ends in
// a dash is for all labels that begin so, and the rest of the label names the
// capability or volume that is let be. A waiver that waives nothing is itself a
// reported result.
func runKubeaudit(r *runner, c *testCase, in *input) (outcome, error) {
	var expect struct {
		Verdict string   `json:"verdict"`
		Results []string `json:"results"`
	}
	if err := c.decode("expect", &expect); err != nil {
		return outcome{}, err
	}
	a, err := r.ask(in, c.text("auditor"), setting{})
	if err != nil {
		return outcome{}, err
	}
	overrides := overridesOf(in)
	a.hits = filter(a.hits, func(h hit) bool { return !r.waived(&h, overrides) })
	out := verdictOutcome(a, expect.Verdict)
	for _, o := range overrides {
		if rows, _ := r.labelRows(o.name); !o.used && concerns(rows, a.rows) && o.reported(rows) && out.got == "pass" {
			out.got = "fail"
			out.notes = append(out.notes, "label "+o.name+" waives nothing")
		}
	}
	out.agreed = a.mapped && out.got == expect.Verdict
	out.expected += " (" + strings.Join(expect.Results, ", ") + ")"
	return out, nil
}

// reported reports whether kubeaudit tells that the label is of no use: where
// the map says `redundant=FIELD`, only if a container that the label is for has
// the field itself.
func (o *override) reported(rows []*row) bool {
	field := ""
	for _, row := range rows {
		field = row.options.redundant
	}
	if field == "" {
		return true
	}
	p := fact.PodTemplate{Spec: o.pod}
	for _, c := range p.Containers() {
		mine := o.container == "" || o.container == c.Value.Get(fact.K("name")).Str()
		if mine && !c.Value.At(strings.Split(field, ".")...).IsNull() {
			return true
		}
	}
	return false
}

// concerns reports whether a label is about any control that was asked.
func concerns(labels, asked []*row) bool {
	for _, l := range labels {
		for _, id := range l.controls {
			for _, a := range asked {
				if allowed(a.controls, id, false) {
					return true
				}
			}
		}
	}
	return false
}

// overridesOf finds the labels of all pods and namespaces of an input.
func overridesOf(in *input) []*override {
	var out []*override
	add := func(o *fact.Object, metadata, pod fact.Value) {
		for l := range metadata.Get(fact.K("labels")).Children() {
			if x := parseOverride(l.Key().String()); x != nil {
				x.object, x.pod = o, pod
				out = append(out, x)
			}
		}
	}
	for _, o := range in.objects() {
		if o.GroupKind() == "Namespace" {
			add(o, o.Root.Get(fact.K("metadata")), fact.Value{})
		}
		for _, p := range fact.PodTemplates(o) {
			add(o, p.Metadata, p.Spec)
		}
	}
	return out
}

func parseOverride(label string) *override {
	for _, prefix := range []string{"container.kubeaudit.io/", "container.audit.kubernetes.io/"} {
		if rest, ok := strings.CutPrefix(label, prefix); ok {
			if container, name, ok := strings.Cut(rest, "."); ok {
				return &override{container: container, name: name}
			}
		}
	}
	for _, prefix := range []string{"kubeaudit.io/", "audit.kubernetes.io/pod."} {
		if name, ok := strings.CutPrefix(label, prefix); ok {
			return &override{name: name}
		}
	}
	return nil
}

// labelRows returns the map rows of a label, and what the label names beyond
// the row.
func (r *runner) labelRows(name string) (rows []*row, tail string) {
	if rows := r.table.rows("label:" + name); len(rows) > 0 {
		return rows, ""
	}
	for i := len(name) - 1; i > 0; i-- {
		if name[i] == '-' {
			if rows := r.table.rows("label:" + name[:i+1]); len(rows) > 0 {
				return rows, name[i+1:]
			}
		}
	}
	return nil, ""
}

// waived reports whether labels let a finding be, and marks them as used. A
// finding about the whole pod is waived by labels on every container that it
// concerns.
func (r *runner) waived(h *hit, overrides []*override) bool {
	waived := false
	have := map[string][]*override{} // container → labels
	var pod fact.Value
	tail := ""
	for _, o := range overrides {
		if o.object != h.object {
			continue
		}
		rows, rest := r.labelRows(o.name)
		named := false
		for _, row := range rows {
			named = named || allowed(row.controls, h.finding.Control, false) && len(row.controls) > 0
		}
		switch {
		case !named || rest != "" && !names(h, rest):
		case o.container == "" || o.container == h.container:
			o.used, waived = true, true
		case h.container == "":
			have[o.container], pod, tail = append(have[o.container], o), o.pod, rest
		}
	}
	if waived || len(have) == 0 {
		return waived
	}
	for _, c := range concerned(pod, tail) {
		if len(have[c]) == 0 {
			return false
		}
	}
	for _, list := range have {
		for _, o := range list {
			o.used = true
		}
	}
	return true
}

// names reports whether a finding is about the capability or volume that the
// end of a label names: by its value, or by a list element of its path.
func names(h *hit, tail string) bool {
	same := func(s string) bool { return strings.EqualFold(strings.ReplaceAll(s, "_", "-"), tail) }
	for _, e := range h.finding.Evidence {
		if same(strings.TrimPrefix(e.Value, "CAP_")) {
			return true
		}
		for part := range strings.SplitSeq(e.Path, "[") {
			if key, _, ok := strings.Cut(part, "]"); ok && same(key) {
				return true
			}
		}
	}
	return false
}

// concerned lists the containers of a pod that mount a volume; all where none
// does or no volume is named.
func concerned(pod fact.Value, volume string) []string {
	var all, mounting []string
	p := fact.PodTemplate{Spec: pod}
	for _, c := range p.Containers() {
		name := c.Value.Get(fact.K("name")).Str()
		all = append(all, name)
		for m := range c.Value.Get(fact.K("volumeMounts")).Children() {
			if volume != "" && m.Get(fact.K("name")).Str() == volume {
				mounting = append(mounting, name)
				break
			}
		}
	}
	if len(mounting) > 0 {
		return mounting
	}
	return all
}
