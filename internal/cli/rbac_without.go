package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
	"github.com/merlon-security/merlon/internal/rbac/least"
	"github.com/spf13/cobra"
)

func newRbacWithout(s Streams) *cobra.Command {
	f := &rbacFlags{}
	var audit []string
	cmd := &cobra.Command{
		Use:   "without BINDING",
		Short: "Previews what the removal of a binding would do",
		Long: `Says what its subjects could no longer do without a binding, and what they still
could by another one. With audit logs it also says who used it last and when,
what would have been denied, and what nobody used. It changes nothing.

A BINDING is NAME for a ClusterRoleBinding, NAMESPACE/NAME for a RoleBinding.

Exit codes: 0 nothing in the logs would have been denied, 1 something would, 2
wrong usage, 3 an input could not all be read.`,
		Example: `  merlon rbac without devs-edit -f deploy/
  merlon rbac without shop/web --cluster --audit /var/log/kubernetes/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check("without"); err != nil {
				return err
			}
			if len(args) != 1 || args[0] == "" {
				return usage("rbac without needs one BINDING: NAME, or NAMESPACE/NAME")
			}
			p, err := f.read(cmd.Context(), s)
			if err != nil {
				return err
			}
			b, err := p.binding(args[0])
			if err != nil {
				return err
			}
			r := p.without(b)
			var h *history
			if len(audit) > 0 {
				if h, err = readHistory(cmd.Context(), s, audit, nil); err != nil {
					return err
				}
				r.used(p, b, h)
			}
			if err := r.write(s, f.output, h); err != nil {
				return failed(err)
			}
			var answer error
			if len(r.Denied) > 0 {
				answer = &exitError{code: exitFindings}
			}
			if h != nil && tellGaps(s.Err, h.gaps) {
				answer = &exitError{code: exitFailed}
			}
			return p.told(s.Err, answer)
		},
	}
	f.register(cmd, "table", "json")
	cmd.Flags().StringArrayVar(&audit, "audit", nil, "audit log `FILE`, a folder with a log and its rotated parts, or - (repeatable)")
	return cmd
}

// binding finds a binding by its name.
func (p *permissions) binding(name string) (*fact.Object, error) {
	ref := fact.Ref{Group: rbac.Group, Kind: "ClusterRoleBinding", Name: name}
	if ns, rest, ok := strings.Cut(name, "/"); ok {
		ref.Kind, ref.Namespace, ref.Name = "RoleBinding", ns, rest
	}
	var known []string
	for _, o := range p.snapshot.Objects() {
		if o.Ref() == ref {
			return o, nil
		}
		switch {
		case o.Group != rbac.Group || !strings.HasSuffix(o.Kind, "Binding"):
		case o.Kind == "RoleBinding":
			known = append(known, o.InNamespace()+"/"+o.Name)
		default:
			known = append(known, o.Name)
		}
	}
	return nil, unknown("binding", name, known, "merlon rbac without --help")
}

// removal is what the removal of a binding would do.
type removal struct {
	Binding *objectView `json:"binding"`
	Role    string      `json:"role"`
	Lost    []grantView `json:"lost"`             // rights that its subjects have by it alone
	Denied  []useView   `json:"denied,omitempty"` // requests of the logs that would have been denied
	Shared  []useView   `json:"shared,omitempty"` // those that it allows, and another binding too
	Unused  []*ruleView `json:"unused,omitempty"` // rights that nobody used by it
	audited bool
}

type useView struct {
	User    string    `json:"user"`
	Request string    `json:"request"`
	Count   int       `json:"count"`
	Last    time.Time `json:"last"`
}

func (p *permissions) without(b *fact.Object) *removal {
	after := p.removed(b)
	r := &removal{Binding: objectViewOf(b), Role: roleRefOf(b), Lost: []grantView{}}
	for _, v := range gained(after, p) {
		if v.Binding.Kind == b.Kind && v.Binding.Name == b.Name && v.Binding.Namespace == b.InNamespace() {
			r.Lost = append(r.Lost, v)
		}
	}
	return r
}

func (p *permissions) removed(b *fact.Object) *permissions {
	return &permissions{Index: p.Apply(fact.Change{Op: fact.Delete, Object: b}), snapshot: p.snapshot}
}

// used adds what the logs say.
func (r *removal) used(p *permissions, b *fact.Object, h *history) {
	r.audited = true
	after := p.removed(b)
	var by []least.Use
	for _, u := range h.Uses() {
		if !u.Allowed || !grantedBy(p, b, u) {
			continue
		}
		by = append(by, u)
		v := useView{User: u.User.Name, Request: u.Request.String(), Count: u.Count, Last: u.Last}
		if after.Can(u.User, u.Request) {
			r.Shared = append(r.Shared, v)
		} else {
			r.Denied = append(r.Denied, v)
		}
	}
	var idle []rbac.Request
	for _, rule := range p.Rules(b) {
		for _, right := range rbac.Atoms(rule, b.InNamespace()) {
			used := false
			for _, u := range by {
				used = used || right.Covers(u.Request)
			}
			if !used {
				idle = append(idle, right)
			}
		}
	}
	r.Unused = rulesOf(idle)
}

// grantedBy reports whether a binding is among those that allow a use.
func grantedBy(p *permissions, b *fact.Object, u least.Use) bool {
	for _, g := range p.Why(u.User, u.Request) {
		if g.Binding == b {
			return true
		}
	}
	return false
}

func (r *removal) write(s Streams, form string, h *history) error {
	if form == "json" {
		return writeJSON(s.Out, r)
	}
	say := func(format string, args ...any) { fmt.Fprintln(s.Out, clean(fmt.Sprintf(format, args...))) }
	say("without %s, which binds %s:", r.Binding.placed(), r.Role)
	if len(r.Lost) == 0 {
		say("nobody loses a right: other bindings grant the same, or it grants nothing")
	}
	for _, v := range r.Lost {
		say("  %s can no longer %s, %s", v.Subject, v.Rule, where(v.Namespace))
	}
	if !r.audited {
		say("whether anybody used it takes an audit log: --audit FILE")
		return nil
	}
	r.tell(say)
	say("%s; it cannot show well:", h.reach())
	for _, what := range h.unseen() {
		say("  - %s", what)
	}
	return nil
}

func (r *removal) tell(say func(string, ...any)) {
	last := map[string]time.Time{}
	var order []string
	for _, list := range [][]useView{r.Denied, r.Shared} {
		for _, u := range list {
			if _, known := last[u.User]; !known {
				order = append(order, u.User)
			}
			if u.Last.After(last[u.User]) {
				last[u.User] = u.Last
			}
		}
	}
	if len(order) == 0 {
		say("nobody in the logs used it")
	}
	for _, user := range order {
		say("used by %s, last at %s", user, last[user].Format(time.RFC3339))
	}
	for _, u := range r.Denied {
		say("would have been denied: %s: %s, %s, last at %s", u.User, u.Request, times(u.Count), u.Last.Format(time.RFC3339))
	}
	for _, u := range r.Shared {
		say("still allowed otherwise: %s: %s, %s", u.User, u.Request, times(u.Count))
	}
	for _, rule := range r.Unused {
		say("used by nobody: %s", rule)
	}
}
