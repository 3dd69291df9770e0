package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/rbac"
	"github.com/spf13/cobra"
)

func newRbacDiff(s Streams) *cobra.Command {
	var output string
	f := &objectFlags{}
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Says who gains and who loses which rights from one state to another",
		Long: `Compares what subjects may do by the manifests of A and by those of B: rights
that somebody has in B and not in A, and the other way round. How they are
granted does not count: a rule that moves to another role is no difference.

Exit codes: 0 no difference, 1 some, 2 wrong usage, 3 an input could not all be
read.`,
		Example: `  merlon rbac diff main/deploy branch/deploy
  merlon rbac diff before.yaml after.yaml -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("rbac diff needs two inputs, A and B: files, folders, or - for standard input")
			}
			if err := oneOf("-o", output, "table", "json"); err != nil {
				return err
			}
			var p [2]*permissions
			for i, file := range args {
				var err error
				if p[i], err = f.permissions(cmd.Context(), s, []string{file}); err != nil {
					return err
				}
			}
			d := rightsDiff{Gained: gained(p[0], p[1]), Lost: gained(p[1], p[0])}
			if err := d.write(s.Out, output); err != nil {
				return failed(err)
			}
			var answer error
			if len(d.Gained)+len(d.Lost) > 0 {
				answer = &exitError{code: exitFindings}
			}
			if err := p[0].told(s.Err, nil); err != nil {
				answer = err
			}
			return p[1].told(s.Err, answer)
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`FORMAT`: table, json")
	return cmd
}

// rightsDiff is the difference between two states.
type rightsDiff struct {
	Gained []grantView `json:"gained"`
	Lost   []grantView `json:"lost"`
}

// gained returns the rights in b that their subjects do not have in a.
func gained(a, b *permissions) []grantView {
	out := []grantView{}
	for _, subject := range b.Subjects() {
		user := subject.User()
		for _, g := range b.Show(user) {
			if g.Subject != subject || g.Binding == nil {
				continue // by a group, which is told itself
			}
			var fresh []rbac.Request
			for _, q := range rbac.Atoms(g.Rule, g.Namespace) {
				if !a.Can(user, q) {
					fresh = append(fresh, q)
				}
			}
			for _, r := range rulesOf(fresh) {
				v := grantViewOf(g)
				r.At, r.In = v.Rule.At, v.Rule.In
				v.Rule = r
				out = append(out, v)
			}
		}
	}
	return out
}

// rulesOf says single rights as few rules: those of one resource together, then
// resources with the same verbs.
func rulesOf(list []rbac.Request) []*ruleView {
	type what struct{ group, resource, name, path string }
	var order []what
	verbs := map[what][]string{}
	for _, q := range list {
		w := what{group: q.Group, resource: q.Resource, name: q.Name, path: q.Path}
		if q.Subresource != "" {
			w.resource += "/" + q.Subresource
		}
		if verbs[w] == nil {
			order = append(order, w)
		}
		if !slices.Contains(verbs[w], q.Verb) {
			verbs[w] = append(verbs[w], q.Verb)
		}
	}
	var out []*ruleView
	for _, w := range order {
		key := strings.Join(verbs[w], ",")
		i := slices.IndexFunc(out, func(r *ruleView) bool {
			return strings.Join(r.Verbs, ",") == key && (w.path != "") == (len(r.NonResourceURLs) > 0) &&
				(w.path != "" || r.APIGroups[0] == w.group && strings.Join(r.ResourceNames, ",") == w.name)
		})
		if i < 0 {
			r := &ruleView{Verbs: verbs[w]}
			if w.path == "" {
				r.APIGroups = []string{w.group}
			}
			if w.name != "" {
				r.ResourceNames = []string{w.name}
			}
			out, i = append(out, r), len(out)
		}
		if w.path != "" {
			out[i].NonResourceURLs = append(out[i].NonResourceURLs, w.path)
		} else {
			out[i].Resources = append(out[i].Resources, w.resource)
		}
	}
	return out
}

func (d *rightsDiff) write(w io.Writer, form string) error {
	if form == "json" {
		return writeJSON(w, d)
	}
	if len(d.Gained)+len(d.Lost) == 0 {
		_, err := fmt.Fprintln(w, "no difference in what anybody may do")
		return err
	}
	c := newColumns("", "SUBJECT", "WHERE", "RULE", "ROLE", "BINDING")
	for _, side := range []struct {
		sign string
		list []grantView
	}{{"+", d.Gained}, {"-", d.Lost}} {
		for _, v := range side.list {
			c.row(side.sign, v.Subject, where(v.Namespace), v.Rule.String(), v.Role.placed(), v.Binding.placed())
		}
	}
	return c.write(w)
}
