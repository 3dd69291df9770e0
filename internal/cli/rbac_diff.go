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
	f := &rbacFlags{}
	cmd := &cobra.Command{
		Use:   "diff A [B]",
		Short: "Says who gains and who loses which rights from one state to another",
		Long: `Compares what subjects may do in A and in B: rights that somebody has in B and not
in A, and the other way round. How they are granted does not count: a rule that
moves to another role is no difference. A and B are each a file, a folder or a
snapshot; a cluster (--cluster, --context) or --snapshot FILE can stand for B.

Exit codes: 0 no difference, 1 some, 2 wrong usage, 3 an input could not all be
read.`,
		Example: `  merlon rbac diff main/deploy branch/deploy
  merlon rbac diff before.yaml after.yaml -o json

  # what was saved yesterday against what holds now
  merlon rbac diff yesterday.snapshot --context production`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || f.in.living() != (len(args) == 1) || len(args) > 2 {
				return usage("rbac diff needs two inputs, A and B: files, folders, snapshots, or - for standard input; B may be --cluster, --context NAME or --snapshot FILE")
			}
			if err := f.in.agree(slices.ContainsFunc(args, isSnapshot)); err != nil {
				return err
			}
			if err := oneOf("-o", f.output, f.forms...); err != nil {
				return err
			}
			a, err := f.readOne(cmd.Context(), s, args[0])
			if err != nil {
				return err
			}
			var b *permissions
			if len(args) == 2 {
				b, err = f.readOne(cmd.Context(), s, args[1])
			} else {
				b, err = f.read(cmd.Context(), s)
			}
			if err != nil {
				return err
			}
			return diffRights(s, f.output, a, b)
		},
	}
	f.registerOutput(cmd, "table", "json")
	f.in.register(cmd.Flags())
	return cmd
}

func diffRights(s Streams, form string, a, b *permissions) error {
	d := rightsDiff{Gained: gained(a, b), Lost: gained(b, a)}
	if err := d.write(s.Out, form); err != nil {
		return failed(err)
	}
	var answer error
	if len(d.Gained)+len(d.Lost) > 0 {
		answer = &exitError{code: exitFindings}
	}
	if err := a.told(s.Err, nil); err != nil {
		answer = err
	}
	return b.told(s.Err, answer)
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
