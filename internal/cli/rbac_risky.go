package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/spf13/cobra"
)

func newRbacRisky(s Streams) *cobra.Command {
	f := &rbacFlags{}
	var severity string
	cmd := &cobra.Command{
		Use:   "risky [PATH...]",
		Short: "Lists who holds which risky rights, each once, and by what",
		Long: `Lists every subject that holds a right by which it can become more than it is:
each right once for each subject, by the shortest way in which it has it. What
every cluster grants to its own components is known and left out. In the table the
rights that one rule gives to a subject are one line; -o json has each.

The rights are the controls of the family rights; merlon explain says of each why
it is risky and what to do about it.

Exit codes: 0 nobody, 1 somebody, 2 wrong usage, 3 the input could not all be
read.`,
		Example: `  merlon rbac risky deploy/
  merlon rbac risky --cluster --severity critical -o json
  merlon explain rights/impersonating`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			f.files = append(f.files, paths...)
			if err := f.check("risky"); err != nil {
				return err
			}
			least, err := finding.ParseSeverity(severity)
			if err != nil {
				return usage("--severity: %v", err)
			}
			return f.risky(cmd.Context(), s, least)
		},
	}
	f.register(cmd, "table", "json", "dot")
	cmd.Flags().StringVar(&severity, "severity", "low", "from this `SEVERITY` on: low, medium, high, critical")
	return cmd
}

// riskView is a risky right that somebody holds.
type riskView struct {
	Subject  string `json:"subject"`
	Severity string `json:"severity"`
	Control  string `json:"control"`
	Title    string `json:"title"`
	By       string `json:"by"`
	At       string `json:"at,omitempty"`
	level    finding.Severity
}

func (f *rbacFlags) risky(ctx context.Context, s Streams, severity finding.Severity) error {
	p, err := f.read(ctx, s)
	if err != nil {
		return err
	}
	all, errs := loadHeads(nil)
	if len(errs) > 0 {
		return failed(errors.Join(errs...))
	}
	all = slices.DeleteFunc(all, func(c *control.Control) bool { return !c.Rights() })
	a, err := assess.New(control.NewLibrary(), all, assess.Options{Minor: assess.NewestMinor()}).Assess(p.snapshot)
	if err != nil {
		return failed(err)
	}
	risks := []riskView{}
	for _, x := range a.Report(nil, nil).Findings {
		if x.Severity >= severity {
			risks = append(risks, riskOf(&x))
		}
	}
	slices.SortStableFunc(risks, func(a, b riskView) int {
		return cmp.Or(cmp.Compare(b.level, a.level), strings.Compare(a.Subject, b.Subject), strings.Compare(a.Control, b.Control))
	})
	if err := writeRisks(s.Out, f.output, risks); err != nil {
		return failed(err)
	}
	var answer error
	if len(risks) > 0 {
		answer = &exitError{code: exitFindings}
	}
	return p.told(s.Err, answer)
}

func riskOf(f *finding.Finding) riskView {
	v := riskView{Severity: f.Severity.String(), Control: f.Control, Title: f.Title, By: f.Message, level: f.Severity}
	switch f.Subject.Kind {
	case "ServiceAccount":
		v.Subject = "sa " + cmp.Or(f.Subject.Namespace, "default") + "/" + f.Subject.Name
	case "Group":
		v.Subject = "group:" + f.Subject.Name
	default:
		v.Subject = "user " + f.Subject.Name
	}
	if v.At = f.Location.File; v.At != "" && f.Location.Line > 0 {
		v.At = fmt.Sprintf("%s:%d", v.At, f.Location.Line)
	}
	return v
}

func writeRisks(w io.Writer, form string, risks []riskView) error {
	switch form {
	case "json":
		return writeJSON(w, risks)
	case "dot":
		var b strings.Builder
		b.WriteString("digraph risky {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n")
		for _, r := range risks {
			fmt.Fprintf(&b, "  %s -> %s [label=%s];\n", quote(r.Subject), quote(r.Control), quote(r.Severity))
		}
		b.WriteString("}\n")
		_, err := io.WriteString(w, b.String())
		return err
	}
	if len(risks) == 0 {
		_, err := fmt.Fprintln(w, "nobody holds a risky right, beyond what every cluster grants")
		return err
	}
	c := newColumns("SEVERITY", "SUBJECT", "RIGHT", "BY", "AT")
	for _, same := range sameGrant(risks) {
		r, right := same[0], same[0].Control
		if more := len(same) - 1; more > 0 {
			right += fmt.Sprintf(" and %d more", more)
		}
		c.row(r.Severity, r.Subject, right, r.By, r.At)
	}
	return c.write(w)
}

// sameGrant puts the rights together that a subject has by one rule: who may do
// anything needs one line, not one for each thing that he may do.
func sameGrant(risks []riskView) (out [][]riskView) {
	at := map[[3]string]int{}
	for _, r := range risks {
		key := [3]string{r.Subject, r.By, r.At}
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], r)
	}
	return out
}
