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
are taken into account. It reads files and changes nothing.

A SUBJECT is a user's NAME, group:NAME, or sa NAMESPACE/NAME; a service account
may also be written system:serviceaccount:NAMESPACE:NAME. A RESOURCE is
RESOURCE[.GROUP][/SUBRESOURCE], or a URL such as /metrics.`,
		Example: `  merlon rbac can sa shop/web get secrets -n shop -f deploy/
  merlon rbac who create pods/exec -f deploy/
  merlon rbac least sa shop/web -f deploy/ --audit audit.log`,
		Args: subcommand, RunE: help,
	}
	cmd.AddCommand(newRbacCan(s), newRbacWho(s), newRbacShow(s), newRbacDiff(s), newRbacRisky(s), newRbacLeast(s), newRbacWithout(s))
	return cmd
}

// rbacFlags say what permissions are read from, and how they are told.
type rbacFlags struct {
	objectFlags
	files  []string
	output string
	forms  []string
}

func (f *rbacFlags) register(cmd *cobra.Command, forms ...string) {
	f.forms = forms
	f.registerInput(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", forms[0], "`FORMAT`: "+strings.Join(forms, ", "))
}

func (f *rbacFlags) registerInput(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.files, "file", "f", nil, "read objects from the file or folder `PATH`, or - for standard input (repeatable)")
	f.objectFlags.register(cmd.Flags())
}

// check refuses flags that make no sense before anything is read.
func (f *rbacFlags) check(command string) error {
	if len(f.files) == 0 {
		return usage("rbac %s needs an input: -f PATH, a file, a folder, or - for standard input", command)
	}
	return oneOf("-o", f.output, f.forms...)
}

// permissions are what a command reads: the objects, compiled, and what could
// not be read.
type permissions struct {
	*rbac.Index
	snapshot *fact.Snapshot
}

// read reads the objects that permissions come from.
func (f *rbacFlags) read(ctx context.Context, s Streams) (*permissions, error) {
	return f.permissions(ctx, s, f.files)
}

func (f *objectFlags) permissions(ctx context.Context, s Streams, files []string) (*permissions, error) {
	snapshot, err := f.objects(ctx, s, files)
	if err != nil {
		return nil, err
	}
	return &permissions{Index: rbac.New(snapshot.Objects()), snapshot: snapshot}, nil
}

// told ends a command: what could not be read is told on w, and makes the answer
// one that Merlon cannot stand for.
func (p *permissions) told(w io.Writer, answer error) error {
	bad := tellGaps(w, p.snapshot.Gaps())
	for _, b := range p.Dangling() {
		fmt.Fprintln(w, clean(fmt.Sprintf("note: %s binds %s, which is not in the input and grants nothing here", nameAndPlace(b), roleRefOf(b))))
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
