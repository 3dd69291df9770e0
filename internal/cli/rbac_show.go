package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newRbacShow(s Streams) *cobra.Command {
	f := &rbacFlags{}
	var groups []string
	cmd := &cobra.Command{
		Use:   "show SUBJECT",
		Short: "Lists every right of somebody, with what grants it",
		Long: `Lists every rule that a subject has, by name and by the groups that the system
puts it into, each with the binding and role that grant it and where they stand.
Of a node it also lists what the Node authorizer grants for what runs there.`,
		Example: `  merlon rbac show sa shop/web -f deploy/
  merlon rbac show jane --group devs -f deploy/ -o json
  merlon rbac show group:devs --snapshot yesterday.snapshot -o dot`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check("show"); err != nil {
				return err
			}
			subject, rest, err := subjectArg(args, 0)
			if err != nil || len(rest) > 0 {
				return usage("rbac show needs one SUBJECT%s", because(err))
			}
			p, err := f.read(cmd.Context(), s)
			if err != nil {
				return err
			}
			user := subject.User()
			user.Groups = append(user.Groups, groups...)
			grants := p.Show(user)
			if len(grants) == 0 && f.output == "table" {
				fmt.Fprintln(s.Out, clean(subject.String()+" has no rights"))
			} else if err := writeGrants(s.Out, f.output, grants); err != nil {
				return failed(err)
			}
			return p.told(s.Err, failure(p.nodesHidden(s.Err, user.IsNode())))
		},
	}
	f.register(cmd, "table", "json", "dot")
	cmd.Flags().StringArrayVar(&groups, "group", nil, "the subject is also in the group `NAME` (repeatable)")
	return cmd
}
