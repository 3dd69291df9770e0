package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/spf13/cobra"
)

const permissionsExamples = `  # what Merlon may do in a cluster, read before it is granted
  merlon permissions

  # grant it
  merlon permissions | kubectl apply -f -

  # only in two namespaces, and names and labels of Secrets, too
  merlon permissions --namespace shop --namespace pay --with secret-metadata

  # scan a node from a pod, with two capabilities and nothing to write
  merlon permissions --node worker-1 --image registry.example.com/merlon@sha256:… | kubectl apply -f -
  kubectl logs -n merlon job/merlon-worker-1`

// rights is what the command prints rights for.
type rights struct {
	controlDirs []string
	namespaces  []string
	with        []string
	account     string
	in          string
	nodes       []string
	image       string
}

func newPermissions(s Streams) *cobra.Command {
	r := &rights{}
	cmd := &cobra.Command{
		Use:   "permissions",
		Short: "Prints the rights that reading a cluster or a node takes, as a manifest",
		Long: `Prints a ServiceAccount with the rights that "merlon scan --cluster" takes, and
"merlon net" and "merlon rbac" with --cluster: to list and watch the kinds that
controls are about, and those that decide who can talk to whom and who may do
what. No right to write, no wildcard, and no right on Secrets: who may list them
reads every value.

With --with secret-metadata the right to list Secrets is added. Kubernetes has no
smaller right: whoever holds Merlon's token can then read every Secret. Merlon
itself only asks for their metadata, and drops the annotations of that.

With --with kubelet-config the right to get nodes/configz is added, by which each
kubelet tells the configuration that it runs with, flags and files together. It is
not nodes/proxy, which lets its holder run commands in every pod.

Custom resources are in the list whether the cluster has them or not.

With --node it prints instead a Job for each node named, which scans it as "merlon
scan --node" does on the machine itself, and leaves the report as JSON in its log.
The Job has no rights in the cluster and is not privileged; its namespace must
admit pods with the node's files and network (Pod Security level privileged).`,
		Example: permissionsExamples,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkWith(r.with); err != nil {
				return err
			}
			if len(r.nodes) > 0 {
				return r.printNodes(s.Out)
			}
			if r.image != "" {
				return usage("--image is for --node")
			}
			return r.print(s.Out)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&r.controlDirs, "controls", nil, "`DIR` with your own controls, whose kinds are needed too (repeatable)")
	fl.StringArrayVar(&r.namespaces, "namespace", nil, "of what lies in namespaces, only the `NAME` (repeatable)")
	fl.StringArrayVar(&r.with, "with", nil, "more rights: "+secretMetadata+", "+kubeletConfig+" (repeatable)")
	fl.StringVar(&r.account, "account", "merlon", "`NAME` of the ServiceAccount and of its roles; with --node, begin of the names of the Jobs")
	fl.StringVar(&r.in, "account-namespace", "merlon", "`NAMESPACE` of the ServiceAccount or the Jobs; it must exist")
	fl.StringArrayVar(&r.nodes, "node", nil, "a Job that scans the node `NAME`, instead (repeatable)")
	fl.StringVar(&r.image, "image", "", "with --node: `IMAGE` of Merlon, best by its digest")
	return cmd
}

func (r *rights) print(w io.Writer) error {
	all, err := headsOf(r.controlDirs)
	if err != nil {
		return err
	}
	kinds, err := control.Kinds(control.NewLibrary(), all, nil)
	if err != nil {
		return failed(err)
	}
	for _, name := range append(slices.Clone(r.namespaces), r.account, r.in) {
		if !plainName(name) {
			return usage("%q is not the name of a Kubernetes object", name)
		}
	}
	kinds = append(kinds, lookedAt()...)
	slices.Sort(kinds)
	list := source.Rights(slices.Compact(kinds), slices.Contains(r.with, secretMetadata))
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %q, namespace: %q}\n", r.account, r.in)
	if len(r.namespaces) == 0 {
		r.role(&b, "ClusterRole", "", list)
	} else {
		r.role(&b, "ClusterRole", "", slices.DeleteFunc(slices.Clone(list), func(x source.Right) bool { return x.Namespaced }))
		for _, ns := range r.namespaces {
			r.role(&b, "Role", ns, slices.DeleteFunc(slices.Clone(list), func(x source.Right) bool { return !x.Namespaced }))
		}
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// role writes a role and its binding.
func (r *rights) role(b *strings.Builder, kind, namespace string, list []source.Right) {
	meta := fmt.Sprintf("{name: %q}", r.account)
	if namespace != "" {
		meta = fmt.Sprintf("{name: %q, namespace: %q}", r.account, namespace)
	}
	fmt.Fprintf(b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: %s\nmetadata: %s\nrules:\n", kind, meta)
	if kind == "ClusterRole" {
		b.WriteString("# which kinds there are, and which version of Kubernetes\n- nonResourceURLs: [/api, /apis, /version]\n  verbs: [get]\n")
	}
	for i := 0; i < len(list); {
		j := i
		var names []string
		for ; j < len(list) && list[j].Group == list[i].Group; j++ {
			if list[j].Kind != "Secret" {
				names = append(names, list[j].Resource)
			}
		}
		if len(names) > 0 {
			fmt.Fprintf(b, "- apiGroups: [%q]\n  resources: [%s]\n  verbs: [list, watch]\n", list[i].Group, strings.Join(names, ", "))
		}
		i = j
	}
	if slices.ContainsFunc(list, func(x source.Right) bool { return x.Kind == "Secret" }) {
		b.WriteString("# Whoever holds this right can read the value of every Secret it covers: Kubernetes has no smaller one.\n" +
			"# Merlon asks for metadata only. Leave it out to do without names and labels of Secrets.\n" +
			"- apiGroups: [\"\"]\n  resources: [secrets]\n  verbs: [list, watch]\n")
	}
	if kind == "ClusterRole" && slices.Contains(r.with, kubeletConfig) {
		b.WriteString("# asked of the kubelets themselves, 1.33 or later; it lets nobody do anything\n- apiGroups: [\"\"]\n  resources: [nodes/configz]\n  verbs: [get]\n")
	}
	fmt.Fprintf(b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: %sBinding\nmetadata: %s\n", kind, meta)
	fmt.Fprintf(b, "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: %s, name: %q}\nsubjects:\n- {kind: ServiceAccount, name: %q, namespace: %q}\n", kind, r.account, r.account, r.in)
}

// plainName reports whether a text may be the name of an object and means
// nothing to YAML.
func plainName(s string) bool {
	return s != "" && len(s) <= 253 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}
