package cli

import (
	"slices"

	"github.com/merlon-security/merlon/internal/rbac"
	"github.com/spf13/cobra"
)

func newRbacWho(s Streams) *cobra.Command {
	f, q := &rbacFlags{}, &questionFlags{}
	all := false
	cmd := &cobra.Command{
		Use:   "who VERB RESOURCE [NAME]",
		Short: "Lists everybody who may do something",
		Long: `Lists everybody who may do something: users, groups and service accounts as
bindings name them, and nodes that need the object. Without -n those who may in
all namespaces are listed, and those who may in one.

Controllers and other subjects that only built-in bindings name are left out
unless --all is given.`,
		Example: `  merlon rbac who get secrets -f deploy/
  merlon rbac who create pods/exec -n shop --context production -o json
  merlon rbac who get /metrics -f deploy/ -o dot | dot -Tsvg > who.svg`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check("who"); err != nil {
				return err
			}
			if len(args) < 2 || len(args) > 3 {
				return usage("rbac who needs VERB RESOURCE [NAME]")
			}
			request, err := q.request(args)
			if err != nil {
				return usage("rbac who: %v", err)
			}
			doubt(s.Err, request)
			p, err := f.read(cmd.Context(), s)
			if err != nil {
				return err
			}
			var grants []rbac.Grant
			if request.Namespace == "" && request.Path == "" {
				grants = p.Anywhere(request)
			} else {
				grants = p.Who(request)
			}
			if !all {
				grants = slices.DeleteFunc(grants, func(g rbac.Grant) bool { return g.Binding != nil && rbac.IsDefault(g.Binding) })
			}
			if err := writeGrants(s.Out, f.output, grants); err != nil {
				return failed(err)
			}
			return p.told(s.Err, failure(p.nodesHidden(s.Err, rbac.OfNodes(request))))
		},
	}
	f.register(cmd, "table", "json", "dot")
	q.register(cmd, "default: anywhere")
	cmd.Flags().BoolVar(&all, "all", false, "also those whom only bindings name that every cluster has")
	return cmd
}
