package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func newExplain(s Streams) *cobra.Command {
	var dirs []string
	var report string
	cmd := &cobra.Command{
		Use:   "explain CONTROL | FINDING",
		Short: "Teaches a control: the attack, an example, the fix and its price",
		Long: `Explains one control: what an attacker does with the mistake, an example of it
and its twin that is right, what to change, and what that costs.

With --report, a finding's id or the beginning of it (8 characters or more) works
too: then what was found, and where, comes first.`,
		Example: `  merlon explain workload/privileged-container
  merlon explain privileged-container
  merlon explain 3f2a91c07b --report report.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("explain needs one CONTROL; see merlon controls list")
			}
			return nil
		},
		ValidArgsFunction: completed(controlNames),
		RunE:              func(_ *cobra.Command, args []string) error { return explain(s, args[0], report, dirs) },
	}
	cmd.Flags().StringArrayVar(&dirs, "controls", nil, "`DIR` with your own controls (repeatable)")
	cmd.Flags().StringVar(&report, "report", "", "JSON report `FILE` in which to look for the finding")
	return cmd
}

func explain(s Streams, name, report string, dirs []string) error {
	l := &lesson{w: s.Out, color: colorful(s.Out)}
	if report != "" {
		r, err := readReport("report", report)
		if err != nil {
			return failed(err)
		}
		if f, err := findingOf(r, name); err != nil {
			return err
		} else if f != nil {
			l.finding(f)
			name = f.Control
		}
	}
	c, err := oneControl(name, dirs)
	if err != nil {
		return err
	}
	return l.control(c)
}

// findingOf returns the finding whose id begins so; nil when the name is not
// like an id at all, so that it may be a control's.
func findingOf(r *finding.Report, id string) (*finding.Finding, error) {
	if strings.Trim(id, "0123456789abcdef") != "" {
		return nil, nil
	}
	if len(id) < 8 {
		return nil, usage("finding %s: name 8 characters or more of its id", id)
	}
	var found *finding.Finding
	for i := range r.Findings {
		if f := &r.Findings[i]; strings.HasPrefix(f.ID, id) {
			if found != nil {
				return nil, usage("finding %s: several ids begin so: name more of it", id)
			}
			found = f
		}
	}
	if found == nil {
		return nil, usage("finding %s: not in the report", id)
	}
	return found, nil
}

// lesson writes one explanation.
type lesson struct {
	w     io.Writer
	color bool
}

func (l *lesson) head(format string, args ...any) {
	text := clean(fmt.Sprintf(format, args...))
	if l.color {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Fprintf(l.w, "\n%s\n", text)
}

func (l *lesson) finding(f *finding.Finding) {
	name := f.Subject.Name
	if f.Subject.Namespace != "" {
		name = f.Subject.Namespace + "/" + name
	}
	fmt.Fprintf(l.w, "Finding %s\n", sink.Text(f.ID))
	line := func(what, text string) {
		if text != "" {
			fmt.Fprintf(l.w, "  %-10s%s\n", what, text)
		}
	}
	line("what", sink.Text(f.Message))
	line("subject", sink.Text(f.Subject.Kind+" "+name))
	line("container", sink.Text(f.Subject.Container))
	if f.Location.File != "" {
		line("where", sink.Place(f.Location))
	}
	for _, e := range f.Evidence {
		line("seen", sink.Text(e.Path)+" = "+sink.Text(e.Value))
	}
	if f.Waived != nil {
		line("waived", sink.Text(fmt.Sprintf("until %s by %s: %s (%s)", f.Waived.Until, cmp.Or(f.Waived.By, "the author of the manifest"), f.Waived.Reason, f.Waived.Source)))
	}
	fmt.Fprintln(l.w)
}

func (l *lesson) control(c *control.Control) error {
	title := clean(c.Title)
	if l.color {
		title = "\x1b[1m" + title + "\x1b[0m"
	}
	fmt.Fprintf(l.w, "%s\n%s · %s\n", title, clean(c.ID), c.Level())
	l.head("The attack")
	indented(l.w, "  ", c.Why)
	if err := l.examples(c); err != nil {
		return err
	}
	l.head("The fix")
	indented(l.w, "  ", c.Fix)
	l.patch(c)
	l.wanted(c)
	if strings.TrimSpace(c.Price) != "" {
		l.head("Its price")
		indented(l.w, "  ", c.Price)
	}
	l.head("Severity: %s", c.Level())
	indented(l.w, "  ", severityMeans(c.Level()))
	l.head("Looked at")
	indented(l.w, "  ", scopeText(&c.Scope))
	if c.When != "" {
		indented(l.w, "  ", "where\n    "+indent(c.When))
	}
	indented(l.w, "  ", "required (CEL)\n    "+indent(c.Require))
	l.params(c)
	l.mappings(c)
	l.waiver(c)
	return nil
}

// patch says what merlon fix makes of the control's findings.
func (l *lesson) patch(c *control.Control) {
	if len(c.Patch) == 0 {
		return
	}
	l.head("What merlon fix does")
	for i := range c.Patch {
		indented(l.w, "  ", c.Patch[i].Text())
	}
}

// wanted says what of a component's configuration satisfies the control.
func (l *lesson) wanted(c *control.Control) {
	if len(c.Settings) == 0 {
		return
	}
	l.head("What merlon harden sees to")
	for i := range c.Settings {
		indented(l.w, "  ", c.Settings[i].Text())
	}
}

func (l *lesson) examples(c *control.Control) error {
	fails, passes, err := c.Example()
	if err != nil && !c.BuiltIn {
		return nil // a control of the user's own may have no cases yet
	}
	if err != nil {
		return failed(err)
	}
	for _, e := range []struct {
		what string
		cs   *control.Case
	}{{"An example that fails", fails}, {"Its twin that passes", passes}} {
		text, err := e.cs.Text()
		if err != nil {
			return failed(err)
		}
		l.head("%s (%s)", e.what, e.cs.Name)
		if len(e.cs.Params) > 0 {
			indented(l.w, "  ", "# with "+paramText(e.cs.Params))
		}
		if e.cs.Kubernetes != "" {
			indented(l.w, "  ", "# for Kubernetes "+e.cs.Kubernetes)
		}
		indented(l.w, "  ", text)
	}
	return nil
}

// indent moves the lines of an expression under its heading.
func indent(text string) string { return strings.ReplaceAll(strings.Trim(text, "\n"), "\n", "\n    ") }

// severityMeans puts the rubric of docs/reference/control-format.md in a
// sentence.
func severityMeans(s finding.Severity) string {
	return map[finding.Severity]string{
		finding.Critical: "What an attacker gains times what he needs first: the node or the cluster for\nwho has code in one container, or credentials and other workloads for who\nmerely reaches it over the network.",
		finding.High:     "What an attacker gains times what he needs first: another workload, a namespace\nor credentials for who has code in one container or a low-privileged account;\nor the whole cluster, once a second weakness helps.",
		finding.Medium:   "What an attacker gains times what he needs first: an easier next step for who\nhas code in one container; or another workload, once a second weakness helps.",
		finding.Low:      "What an attacker gains times what he needs first: an easier next step that needs\na second weakness; or a matter of availability, order and habit.",
	}[s]
}

func scopeText(s *control.Scope) string {
	text := map[control.Each]string{
		control.EachContainer: "each container (init, sidecar and ephemeral ones too) of every object that carries pods",
		control.EachPod:       "the pod of every object that carries one",
		control.EachObject:    "each object",
		control.EachNamespace: "each namespace that the input declares or names",
		control.EachComponent: "each container that runs " + s.Component,
		control.EachSubject:   "each user, group and service account that a binding of the input names",
		control.EachInput:     "the input as a whole",
	}[s.Each]
	if len(s.Containers) > 0 {
		text = "containers of type " + strings.Join(s.Containers, ", ") + " of every object that carries pods"
	}
	if len(s.Kinds) > 0 {
		text += "; kinds: " + strings.Join(s.Kinds, ", ")
	}
	return text
}

func (l *lesson) params(c *control.Control) {
	if len(c.Params) == 0 {
		return
	}
	l.head("Settings, and their defaults")
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		indented(l.w, "  ", paramText(map[string]any{name: c.Params[name]}))
	}
	indented(l.w, "  ", "Change them in merlon.yaml, under controls: {"+c.ID+": {params: {…}}}.")
}

func paramText(params map[string]any) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		n := yaml.Node{}
		if err := n.Encode(params[name]); err != nil {
			return name
		}
		flow(&n)
		text, err := yaml.Marshal(&n)
		if err != nil {
			return name
		}
		out = append(out, name+": "+oneLine(string(text)))
	}
	return strings.Join(out, ", ")
}

func flow(n *yaml.Node) {
	n.Style |= yaml.FlowStyle
	for _, c := range n.Content {
		flow(c)
	}
}

func (l *lesson) mappings(c *control.Control) {
	if len(c.Maps) == 0 {
		return
	}
	l.head("Asked for by")
	for _, name := range slices.Sorted(maps.Keys(c.Maps)) {
		m := c.Maps[name]
		indented(l.w, "  ", fmt.Sprintf("%s %s: %s", name, strings.Join(m.Items, ", "), oneLine(m.Source)))
	}
	if c.Threat != "" {
		indented(l.w, "  ", "threat: "+c.Threat)
	}
}

func (l *lesson) waiver(c *control.Control) {
	l.head("To accept it for a while")
	indented(l.w, "  ", "Beside the field:  # merlon:waive "+c.ID+" until=2027-01-31 reason=\"…\"")
	indented(l.w, "  ", "Or in a file for --waivers:")
	indented(l.w, "    ", "waivers:\n  - control: "+c.ID+"\n    name: …            # of the object; kind, namespace, container, file narrow too\n    by: …\n    reason: …\n    until: 2027-01-31")
	if len(c.Aliases) > 0 {
		indented(l.w, "  ", "Formerly "+strings.Join(c.Aliases, ", ")+"; waivers by that name hold.")
	}
}
