package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
	"github.com/spf13/cobra"
)

func newRbac(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rbac",
		Short: "Says who may do what, by which binding, and which rights nobody needs",
		Long: `Answers as the API server's authorizers would, RBAC and Node: groups that the
system implies, aggregated roles, wildcards and the roles that every cluster has
are taken into account. It reads files (-f), a running cluster (--cluster,
--context) or a snapshot (--snapshot), and changes nothing.

A SUBJECT is a user's NAME, group:NAME, or sa NAMESPACE/NAME; a service account
may also be written system:serviceaccount:NAMESPACE:NAME. A RESOURCE is
RESOURCE[.GROUP][/SUBRESOURCE], or a URL such as /metrics.`,
		Example: `  merlon rbac can sa shop/web get secrets -n shop -f deploy/
  merlon rbac who create pods/exec --context production
  merlon rbac least sa shop/web -f deploy/ --audit audit.log`,
		Args: subcommand, RunE: help,
	}
	cmd.AddCommand(newRbacCan(s), newRbacWho(s), newRbacShow(s), newRbacDiff(s), newRbacRisky(s), newRbacLeast(s), newRbacWithout(s))
	return cmd
}

// rbacFlags say what permissions are read from, and how they are told.
type rbacFlags struct {
	in     objectInput
	files  []string
	output string
	forms  []string
}

func (f *rbacFlags) register(cmd *cobra.Command, forms ...string) {
	f.registerOutput(cmd, forms...)
	f.registerInput(cmd)
}

func (f *rbacFlags) registerOutput(cmd *cobra.Command, forms ...string) {
	f.forms = forms
	cmd.Flags().StringVarP(&f.output, "output", "o", forms[0], "`FORMAT`: "+strings.Join(forms, ", "))
}

func (f *rbacFlags) registerInput(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.files, "file", "f", nil, "read objects from the file or folder `PATH`, or - for standard input (repeatable)")
	f.in.register(cmd.Flags())
}

// check refuses flags that make no sense before anything is read.
func (f *rbacFlags) check(command string) error {
	if err := f.in.check("rbac "+command, "-f PATH", f.files); err != nil {
		return err
	}
	return oneOf("-o", f.output, f.forms...)
}

// permissions are what a command reads: the objects, compiled, and what could
// not be read.
type permissions struct {
	*rbac.Index
	snapshot *fact.Snapshot
	podless  bool // pods that controllers made are not among the objects
}

// read reads the objects that permissions come from.
func (f *rbacFlags) read(ctx context.Context, s Streams) (*permissions, error) {
	return permissionsOf(ctx, f.in.cluster.wanted(), func(ctx context.Context) (*fact.Snapshot, error) {
		// A service account's own right is to be an identity of the cloud.
		return f.in.read(ctx, s, f.files, append(rbac.Kinds(), "ServiceAccount"))
	})
}

// readOne reads a path that may also be a snapshot.
func (f *rbacFlags) readOne(ctx context.Context, s Streams, path string) (*permissions, error) {
	return permissionsOf(ctx, false, func(ctx context.Context) (*fact.Snapshot, error) { return f.in.readOne(ctx, s, path) })
}

func permissionsOf(ctx context.Context, living bool, from func(context.Context) (*fact.Snapshot, error)) (*permissions, error) {
	snapshot, err := read(ctx, from)
	if err != nil {
		return nil, err
	}
	p := &permissions{snapshot: snapshot, Index: rbac.New(snapshot.Objects())}
	p.podless = !living && slices.ContainsFunc(snapshot.Objects(), func(o *fact.Object) bool { return o.Origin.Source == "cluster" })
	return p, nil
}

// nodesHidden tells that a snapshot of a cluster cannot say what nodes may do by
// what runs on them, and reports whether the question is about that.
func (p *permissions) nodesHidden(w io.Writer, about bool) bool {
	if !p.podless || !about {
		return false
	}
	fmt.Fprintln(w, "gap: a snapshot of a cluster has no pods that controllers made: what nodes may do for them is not known; ask the cluster itself (--cluster)")
	return true
}

// told ends a command: what could not be read is told on w, and makes the answer
// one that Merlon cannot stand for.
func (p *permissions) told(w io.Writer, answer error) error {
	bad := tellGaps(w, p.snapshot.Gaps())
	for _, b := range p.Dangling() {
		fmt.Fprintln(w, clean(oneLine(fmt.Sprintf("note: %s %s", nameAndPlace(b), dangles(b)))))
	}
	if bad {
		return &exitError{code: exitFailed}
	}
	return answer
}

// tellGaps writes gaps and reports whether one of them leaves something unread.
func tellGaps(w io.Writer, gaps []fact.Gap) bool {
	bad := false
	for _, g := range gaps {
		if harmless(g.Kind) {
			continue
		}
		bad = true
		place := g.File
		if g.Pos.Line > 0 {
			place = fmt.Sprintf("%s:%d", place, g.Pos.Line)
		}
		fmt.Fprintln(w, clean(oneLine(fmt.Sprintf("gap: %s: %s: %s", place, g.Kind, g.Message))))
	}
	return bad
}

// dangles says why a binding grants nothing.
func dangles(b *fact.Object) string {
	ref := b.Root.Get(fact.K("roleRef"))
	kind, name := ref.Get(fact.K("kind")).Str(), ref.Get(fact.K("name")).Str()
	switch {
	case kind == "" || name == "":
		return "names no role and grants nothing"
	case kind != "ClusterRole" && (kind != "Role" || b.Kind == "ClusterRoleBinding"):
		return fmt.Sprintf("binds a %s, which a %s cannot, and grants nothing", kind, b.Kind)
	}
	return fmt.Sprintf("binds %s, which is not in the input and grants nothing here", roleRefOf(b))
}

func roleRefOf(b *fact.Object) string {
	ref := b.Root.Get(fact.K("roleRef"))
	return ref.Get(fact.K("kind")).Str() + " " + ref.Get(fact.K("name")).Str()
}

// nameAndPlace names an object and where it stands.
func nameAndPlace(o *fact.Object) string {
	name := fullName(o)
	if at := placeOf(o, o.Root); at != "" {
		name += " (" + at + ")"
	}
	return name
}

// fullName names an object by kind, namespace and name.
func fullName(o *fact.Object) string {
	if ns := o.InNamespace(); ns != "" {
		return o.Kind + " " + ns + "/" + o.Name
	}
	return o.Kind + " " + o.Name
}

// placeOf says where a value of an object stands: file and line, or "built in".
func placeOf(o *fact.Object, v fact.Value) string {
	switch {
	case o == nil:
		return ""
	case rbac.Builtin(o):
		return "built in"
	case o.Origin.File == "":
		return o.Origin.Source
	}
	if v.Pos().Line == 0 {
		v = v.Index(0)
	}
	return lineOf(o, v)
}

// subjectArg takes a subject, of one word or two, off the front of arguments.
// least is how many follow it.
func subjectArg(args []string, least int) (rbac.Subject, []string, error) {
	if len(args) > least+1 && slices.Contains([]string{"user", "group", "sa", "serviceaccount"}, args[0]) {
		args = append([]string{args[0] + " " + args[1]}, args[2:]...)
	}
	if len(args) < least+1 {
		return rbac.Subject{}, nil, fmt.Errorf("too few arguments")
	}
	subject, err := rbac.ParseSubject(args[0])
	return subject, args[1:], err
}
