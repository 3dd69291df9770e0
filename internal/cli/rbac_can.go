package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/rbac"
	"github.com/spf13/cobra"
)

// questionFlags narrow a question.
type questionFlags struct {
	namespace string
	name      string
	fields    string
	groups    []string
}

func (q *questionFlags) register(cmd *cobra.Command, everywhere string) {
	fl := cmd.Flags()
	fl.StringVarP(&q.namespace, "namespace", "n", "", "ask for the namespace `NAME` ("+everywhere+")")
	fl.StringVar(&q.name, "name", "", "ask for the one object called `NAME` (default: any)")
	fl.StringVar(&q.fields, "field-selector", "", "ask for a list with this `SELECTOR`, which the Node authorizer looks at")
}

// request reads VERB RESOURCE [NAME].
func (q *questionFlags) request(args []string) (rbac.Request, error) {
	r, err := rbac.ParseRequest(args[0], args[1])
	if err != nil {
		return r, err
	}
	r.Namespace, r.Name, r.Fields = q.namespace, q.name, q.fields
	if len(args) == 3 {
		if q.name != "" {
			return r, fmt.Errorf("the name is given twice")
		}
		r.Name = args[2]
	}
	if r.Path != "" && (r.Namespace != "" || r.Name != "") {
		return r, fmt.Errorf("a URL has neither namespace nor name")
	}
	return r, nil
}

// subresources are those of Kubernetes' own APIs and of custom resources.
var subresources = strings.Fields("status scale exec attach portforward log proxy binding eviction ephemeralcontainers resize token approval finalize " +
	"configz checkpoint healthz metrics pods spec stats")

// doubt writes a note where the part after the slash looks like an object's
// name, as in kubectl's TYPE/NAME: the answer is about something else.
func doubt(w io.Writer, q rbac.Request) {
	if q.Subresource == "" || q.Subresource == "*" || slices.Contains(subresources, q.Subresource) {
		return
	}
	text := fmt.Sprintf("note: %[2]s is asked for as a subresource, and Kubernetes has none of that name; for an object write: %[1]s %[2]s", q.Resource, q.Subresource)
	fmt.Fprintln(w, clean(oneLine(text)))
}

func newRbacCan(s Streams) *cobra.Command {
	f, q := &rbacFlags{}, &questionFlags{}
	cmd := &cobra.Command{
		Use:   "can SUBJECT VERB RESOURCE [NAME]",
		Short: "Says whether somebody may do something, and why",
		Long: `Says whether a subject may do something, with every binding, role and rule by
which it may, and where they stand. Without -n the question is about all
namespaces at once, as the API server is asked by a list of all.

Exit codes: 0 yes, 1 no, 2 wrong usage, 3 the input could not all be read.`,
		Example: `  merlon rbac can sa shop/web get secrets -n shop -f deploy/
  merlon rbac can jane create pods/exec -n shop --group devs -f deploy/
  merlon rbac can system:node:n1 get secrets tls -n shop --cluster
  merlon rbac can group:devs get /metrics -f deploy/ -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check("can"); err != nil {
				return err
			}
			subject, rest, err := subjectArg(args, 2)
			if err != nil || len(rest) < 2 || len(rest) > 3 {
				return usage("rbac can needs SUBJECT VERB RESOURCE [NAME]%s", because(err))
			}
			request, err := q.request(rest)
			if err != nil {
				return usage("rbac can: %v", err)
			}
			doubt(s.Err, request)
			p, err := f.read(cmd.Context(), s)
			if err != nil {
				return err
			}
			user := subject.User()
			user.Groups = append(user.Groups, q.groups...)
			grants := p.Why(user, request)
			var answer error
			if len(grants) == 0 {
				answer = &exitError{code: exitFindings}
			}
			if err := tellCan(s, f.output, subject, user, request, p, grants); err != nil {
				return failed(err)
			}
			if len(grants) == 0 && p.nodesHidden(s.Err, user.IsNode() && rbac.OfNodes(request)) {
				answer = &exitError{code: exitFailed}
			}
			return p.told(s.Err, answer)
		},
	}
	f.register(cmd, "table", "json", "dot")
	q.register(cmd, "default: all at once")
	cmd.Flags().StringArrayVar(&q.groups, "group", nil, "the subject is also in the group `NAME` (repeatable)")
	return cmd
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// canView is an answer as JSON.
type canView struct {
	Subject  string      `json:"subject"`
	Groups   []string    `json:"groups"`
	Question string      `json:"question"`
	Allowed  bool        `json:"allowed"`
	Grants   []grantView `json:"grants"`
	In       []string    `json:"in,omitempty"` // namespaces in which it is allowed, when it is not everywhere
}

func tellCan(s Streams, form string, subject rbac.Subject, u rbac.User, q rbac.Request, p *permissions, grants []rbac.Grant) error {
	var in []string
	if len(grants) == 0 && q.Namespace == "" && q.Path == "" {
		for _, ns := range namespacesOf(p, u) {
			one := q
			one.Namespace = ns
			if p.Can(u, one) {
				in = append(in, ns)
			}
		}
	}
	switch form {
	case "json":
		return writeJSON(s.Out, canView{subject.String(), u.Groups, q.String(), len(grants) > 0, viewsOf(grants), in})
	case "dot":
		return grantDot(s.Out, grants)
	}
	if len(grants) == 0 {
		fmt.Fprintln(s.Out, "no")
		if len(in) > 0 {
			fmt.Fprintln(s.Out, clean("not in all namespaces at once, but in: "+strings.Join(in, ", ")))
		}
		return nil
	}
	fmt.Fprintln(s.Out, "yes")
	return grantTable(s.Out, grants)
}

// namespacesOf returns the namespaces in which a user has RoleBindings.
func namespacesOf(p *permissions, u rbac.User) []string {
	seen := map[string]bool{}
	var out []string
	add := func(subject rbac.Subject) {
		for _, ns := range p.Namespaces(subject) {
			if !seen[ns] {
				seen[ns] = true
				out = append(out, ns)
			}
		}
	}
	if u.Name != "" {
		add(u.Subject())
	}
	for _, g := range u.Groups {
		add(rbac.Subject{Kind: rbac.GroupKind, Name: g})
	}
	return out
}
