package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/rbac"
	"github.com/merlon-security/merlon/internal/rbac/least"
	"github.com/spf13/cobra"
)

// leastFlags are the flags of rbac least.
type leastFlags struct {
	rbacFlags
	audit   []string
	name    string
	names   int
	refused bool
}

func newRbacLeast(s Streams) *cobra.Command {
	f := &leastFlags{}
	cmd := &cobra.Command{
		Use:   "least SUBJECT",
		Short: "Writes the least roles that allow what somebody did, with proof",
		Long: `Reads audit logs and writes the least Roles and bindings with which the subject
could have done all that it did. What every signed-in user may do is left out, and
what the Node authorizer lets a kubelet do.

The roles are proved before they are written: every request of the log is asked
again, and must be allowed; then every verb, resource, name and URL is taken out
in turn, and something that happened must be denied. With -f, --cluster or
--snapshot the rights that the subject has and never used are listed too. The report goes to standard error, the
manifests to standard output.

A log is JSON lines, plain or gzip; a folder is read with its rotated parts.`,
		Example: `  merlon rbac least sa shop/web --audit audit.log > web-rbac.yaml
  merlon rbac least sa shop/web --audit /var/log/kubernetes/ --cluster
  merlon rbac least jane --audit audit.log.gz --refused -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(f.audit) == 0 {
				return usage("rbac least needs a log: --audit FILE, a folder, or - for standard input")
			}
			if f.granted() || f.in.verify != "" || f.in.cluster.kubeconfig != "" {
				if err := f.check("least"); err != nil {
					return err
				}
			}
			if err := oneOf("-o", f.output, f.forms...); err != nil {
				return err
			}
			subject, rest, err := subjectArg(args, 0)
			if err != nil || len(rest) > 0 {
				return usage("rbac least needs one SUBJECT%s", because(err))
			}
			if subject == (rbac.Subject{Kind: rbac.GroupKind, Name: rbac.Masters}) {
				return usage("rbac least: members of %s may do everything, whatever roles say; ask about one of them by name", rbac.Masters)
			}
			if f.names < 0 {
				return usage("--names: %d is less than 0", f.names)
			}
			return f.run(cmd.Context(), s, subject)
		},
	}
	f.register(cmd, "yaml", "json")
	fl := cmd.Flags()
	fl.StringArrayVar(&f.audit, "audit", nil, "audit log `FILE`, a folder with a log and its rotated parts, or - (repeatable)")
	fl.StringVar(&f.name, "name", "", "`NAME` of the roles and bindings (default: that of the subject, with -least)")
	fl.IntVar(&f.names, "names", 10, "list up to `N` names of objects in a rule, and allow all of them beyond")
	fl.BoolVar(&f.refused, "refused", false, "also allow what was refused")
	return cmd
}

// granted reports whether an input says what the subject may do today.
func (f *leastFlags) granted() bool { return len(f.files) > 0 || f.in.living() }

// leastReport is what rbac least found out.
type leastReport struct {
	Subject  string       `json:"subject"`
	Manifest string       `json:"manifest"`
	From     time.Time    `json:"from,omitzero"`
	To       time.Time    `json:"to,omitzero"`
	Events   int          `json:"events"`
	Requests int          `json:"requests"` // different ones of the subject
	Proof    proofView    `json:"proof"`
	Refused  []string     `json:"refused,omitempty"`
	Unused   []unusedView `json:"unused,omitempty"`
	Unseen   []string     `json:"unseen"`
}

type proofView struct {
	Replayed int      `json:"replayed"`
	Denied   []string `json:"denied"`
	Elements int      `json:"elements"`
	Idle     []string `json:"idle"`
}

type unusedView struct {
	Grant  grantView   `json:"grant"`
	Unused []*ruleView `json:"unused,omitempty"`
	Wide   []*ruleView `json:"wide,omitempty"`
	Used   []*ruleView `json:"used,omitempty"`
}

func (f *leastFlags) run(ctx context.Context, s Streams, subject rbac.Subject) error {
	var p *permissions
	if f.granted() {
		var err error
		if p, err = f.read(ctx, s); err != nil {
			return err
		}
	}
	h, err := readHistory(ctx, s, f.audit, concerns(subject))
	if err != nil {
		return err
	}
	uses := h.Uses()
	r := &leastReport{Subject: subject.String(), From: h.From, To: h.To, Events: h.Events, Unseen: h.unseen()}
	var wanted []least.Use
	for _, u := range uses {
		if u.Allowed || f.refused {
			wanted = append(wanted, u)
		}
		if !u.Allowed {
			r.Refused = append(r.Refused, fmt.Sprintf("%s (%s, last %s)", u.Request, times(u.Count), u.Last.Format(time.RFC3339)))
		}
	}
	plan := least.Make(subject, wanted, least.Options{Name: f.nameFor(subject), Names: f.names})
	proof := plan.Prove(wanted)
	r.Manifest, r.Requests, r.Proof = plan.YAML(), len(wanted), proofOf(proof)
	if p != nil {
		r.Unused = unusedOf(least.Never(p.Index, subject, uses))
	}
	if !proof.Held() {
		return failed(fmt.Errorf("the roles could not be proved; please report this: denied %q, needed by nothing %q", r.Proof.Denied, r.Proof.Idle))
	}
	if err := r.write(s, f.output, h, p != nil); err != nil {
		return failed(err)
	}
	bad := tellGaps(s.Err, h.gaps)
	if p != nil {
		return p.told(s.Err, failure(bad))
	}
	return failure(bad)
}

func failure(bad bool) error {
	if bad {
		return &exitError{code: exitFailed}
	}
	return nil
}

// concerns says which callers of a log are the subject: of a group, everybody in
// it who needs it to do anything.
func concerns(subject rbac.Subject) func(rbac.User) bool {
	return func(u rbac.User) bool {
		if subject.Kind == rbac.GroupKind {
			return slices.Contains(u.Groups, subject.Name) && !slices.Contains(u.Groups, rbac.Masters)
		}
		return u.Name == subject.User().Name
	}
}

// nameFor makes a name for roles of a subject's.
func (f *leastFlags) nameFor(subject rbac.Subject) string {
	if f.name != "" {
		return f.name
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, strings.ToLower(subject.Name))
	return strings.Trim(name, "-.") + "-least"
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func proofOf(p least.Proof) proofView {
	v := proofView{Replayed: p.Replayed, Denied: []string{}, Elements: p.Elements, Idle: []string{}}
	for _, q := range p.Denied {
		v.Denied = append(v.Denied, q.String())
	}
	for _, i := range p.Idle {
		v.Idle = append(v.Idle, fmt.Sprintf("%s of rule %d of %s", i.Element, i.Rule, i.Role.Name))
	}
	return v
}

func unusedOf(list []least.Unused) []unusedView {
	var out []unusedView
	for _, u := range list {
		out = append(out, unusedView{Grant: grantViewOf(u.Grant), Unused: rulesOf(u.Rights), Wide: rulesOf(u.Wide), Used: rulesOf(u.Uses)})
	}
	return out
}

func (r *leastReport) write(s Streams, form string, h *history, compared bool) error {
	if form == "json" {
		return writeJSON(s.Out, r)
	}
	if _, err := io.WriteString(s.Out, r.Manifest); err != nil {
		return err
	}
	w := s.Err
	say := func(format string, args ...any) { fmt.Fprintln(w, clean(fmt.Sprintf(format, args...))) }
	say("%s: %s in %s", r.Subject, plural(r.Requests, "different request"), plural(r.Events, "event"))
	if r.Manifest == "" {
		say("nothing to grant: it did nothing beyond what every signed-in user may")
	} else {
		say("proved: all %d are allowed; each of the %d verbs, resources, names and URLs is needed by one of them", r.Proof.Replayed, r.Proof.Elements)
	}
	for _, q := range r.Refused {
		say("refused: %s", q)
	}
	for _, u := range r.Unused {
		for _, rule := range u.Unused {
			say("never used: %s, %s, by %s", rule, where(u.Grant.Namespace), u.Grant.Binding.placed())
		}
		for _, rule := range u.Wide {
			var used []string
			for _, x := range u.Used {
				used = append(used, x.String())
			}
			say("too wide: %s, %s, by %s; used for %s", rule, where(u.Grant.Namespace), u.Grant.Binding.placed(), strings.Join(used, "; "))
		}
	}
	if compared && len(r.Unused) == 0 {
		say("every right that it has was used")
	}
	say("%s; it cannot show well:", h.reach())
	for _, what := range r.Unseen {
		say("  - %s", what)
	}
	return nil
}
