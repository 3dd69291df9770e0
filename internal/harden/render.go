package harden

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/component"
	"github.com/merlon-security/merlon/internal/fact"
)

// Form is how configuration is written.
type Form string

// The forms: kubeadm's configuration, or the flags of each component one on a
// line. Configuration files and documents are the same in both.
const (
	FormKubeadm Form = "kubeadm"
	FormFlags   Form = "flags"
)

// File is one file of the output.
type File struct {
	Name   string
	Text   string
	Secret bool // it holds a key: never for a terminal
}

// Files writes the configuration down.
func (r *Result) Files(form Form) []File {
	var out []File
	if form == FormKubeadm {
		if text := r.kubeadm(); text != "" {
			out = append(out, File{Name: "kubeadm.yaml", Text: text})
		}
	}
	seen := map[string]int{}
	for _, c := range r.Components {
		if c.Unread || form == FormKubeadm && c.inKubeadm() {
			continue
		}
		name := c.Plan.Component
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s-%d", name, seen[name])
		}
		out = append(out, c.files(name)...)
	}
	if len(r.Modes) > 0 {
		out = append(out, File{Name: "files.sh", Text: r.modes()})
	}
	if len(r.Sysctls) > 0 {
		out = append(out, File{Name: "sysctl.conf", Text: r.kernelText()})
	}
	for _, d := range r.Documents {
		out = append(out, File{Name: d.Name, Text: d.text(), Secret: d.Secret})
	}
	return out
}

// inKubeadm reports whether kubeadm's configuration has a place for a component.
func (c *Component) inKubeadm() bool { return slices.Contains(kubeadmOrder[:], c.Plan.Component) }

// files are the flags of a component and its configuration file. A container
// runtime whose file no control has a word for has none.
func (c *Component) files(name string) []File {
	var out []File
	runtime := slices.Contains([]string{"containerd", "crio", "dockerd"}, c.Plan.Component)
	if runtime && c.Changes() == 0 {
		return nil
	}
	if !runtime {
		out = append(out, File{Name: name + ".flags", Text: c.flags()})
	}
	if c.Plan.File == nil {
		return out
	}
	switch c.Plan.Component {
	case "containerd", "crio":
		out = append(out, File{Name: name + ".toml", Text: c.head() + tomlText(c.Plan.File, c.Serves)})
	case "dockerd":
		text, err := json.MarshalIndent(c.Plan.File, "", "  ")
		if err == nil {
			out = append(out, File{Name: name + ".json", Text: string(text) + "\n"})
		}
	default:
		out = append(out, File{Name: name + ".yaml", Text: c.head() + yamlText(c.Plan.File, c.comments)})
	}
	return out
}

// comments names the controls of a field.
func (c *Component) comments(at []fact.Step) []string {
	var path []string
	for _, s := range at {
		path = append(path, s.Field)
	}
	return c.Serves[pathKey(path)]
}

// head says what is written, and what it does not settle.
func (c *Component) head() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, hardened (%s).\n", c.Plan.Component, plain(c.Where))
	b.WriteString("# Above a line: the controls that it satisfies (merlon explain CONTROL).\n")
	opened(&b, c.Open)
	return b.String()
}

func opened(b *strings.Builder, open []Open) {
	if len(open) == 0 {
		return
	}
	b.WriteString("# Not settled by these settings:\n")
	for _, o := range open {
		fmt.Fprintf(b, "#   %s: %s\n", o.Control, plain(o.Message))
	}
}

// plain keeps foreign text within its comment.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, s)
}

// flags writes one flag on a line; a line that begins with # is none.
func (c *Component) flags() string {
	var b strings.Builder
	b.WriteString(c.head())
	for _, name := range slices.Sorted(maps.Keys(c.Plan.Flags)) {
		if ids := c.Serves[name]; len(ids) > 0 {
			fmt.Fprintf(&b, "# %s%s\n", strings.Join(ids, ", "), c.was(name))
		}
		fmt.Fprintf(&b, "--%s=%s\n", name, plain(c.Plan.Flags[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Before.Flags)) {
		if _, ok := c.Plan.Flags[name]; ok {
			continue
		}
		if at := c.Plan.Field(name); at != nil {
			fmt.Fprintf(&b, "# --%s is in the file now: %s\n", name, strings.Join(at, "."))
			continue
		}
		fmt.Fprintf(&b, "# --%s=%s is taken away%s\n", name, plain(c.Before.Flags[name]), forControls(c.Serves[name]))
	}
	return b.String()
}

func forControls(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ": " + strings.Join(ids, ", ")
}

// was tells the value before, where it differs.
func (c *Component) was(flag string) string {
	before := c.Before.Process()
	if now := c.Plan.Process().Flag(flag); before.Flag(flag) != now {
		if v := before.Flag(flag); v != "" {
			return " (was " + plain(v) + ")"
		}
		return " (was not set)"
	}
	return ""
}

func (d *Document) text() string {
	var b strings.Builder
	b.WriteString("# Above a line: the controls that fail without it (merlon explain CONTROL).\n")
	if strings.Contains(string(d.Name), "encryption") && !d.Secret {
		b.WriteString("# The key is for you to make, once for all API servers of the cluster; keep it apart from etcd's backups.\n")
	}
	opened(&b, d.Open)
	b.WriteString(yamlText(d.Root, func(at []fact.Step) []string { return d.Serves[fact.PathText(at)] }))
	return b.String()
}

// kubeadm writes the configuration that kubeadm takes: what is said beyond its
// own defaults.
func (r *Result) kubeadm() string {
	var docs []string
	cluster, comments := map[string]any{}, map[string][]string{}
	minor := 0
	var open []Open
	for _, c := range r.Components {
		section := map[string][]string{
			"kube-apiserver": {"apiServer"}, "kube-controller-manager": {"controllerManager"}, "kube-scheduler": {"scheduler"}, "etcd": {"etcd", "local"},
		}[c.Plan.Component]
		if c.Unread || section == nil {
			continue
		}
		minor = c.minor
		args := map[string]any{}
		c.extraArgs(args, strings.Join(section, "."), comments)
		r.extraVolumes(c, args)
		open = append(open, c.Open...)
		switch {
		case len(args) == 0:
		case len(section) == 2:
			cluster[section[0]] = map[string]any{section[1]: args}
		default:
			cluster[section[0]] = args
		}
	}
	if len(cluster) > 0 {
		cluster["apiVersion"], cluster["kind"] = kubeadmVersion(minor), "ClusterConfiguration"
		var b strings.Builder
		b.WriteString("# Above a line: the controls that it satisfies (merlon explain CONTROL). What kubeadm sets by itself is not here.\n")
		opened(&b, open)
		b.WriteString(yamlText(cluster, func(at []fact.Step) []string { return comments[fact.PathText(at)] }))
		docs = append(docs, b.String())
	}
	for _, c := range r.Components {
		if !c.Unread && c.Plan.File != nil && (c.Plan.Component == "kubelet" || c.Plan.Component == "kube-proxy") {
			docs = append(docs, c.head()+yamlText(c.Plan.File, c.comments))
		}
	}
	return strings.Join(docs, "---\n")
}

func kubeadmVersion(minor int) string {
	if minor > 0 && minor < 31 {
		return "kubeadm.k8s.io/v1beta3"
	}
	return "kubeadm.k8s.io/v1beta4"
}

// extraArgs are the flags that kubeadm would not give by itself, or not so.
func (c *Component) extraArgs(at map[string]any, section string, comments map[string][]string) {
	base := map[string]string{}
	if f, ok := kubeadm(c.Plan.Component, c.minor, c.pki()); ok {
		plan, _ := component.NewPlan(f.Process)
		base = plan.Flags
	}
	list, byName := []any{}, map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(c.Plan.Flags)) {
		value := c.Plan.Flags[name]
		own, known := base[name]
		if known && (own == value || strings.Contains(own, "$") && c.Before.Flags[name] == value) {
			continue
		}
		comments[fmt.Sprintf("%s.extraArgs[%d]", section, len(list))] = c.Serves[name]
		comments[section+".extraArgs."+name] = c.Serves[name]
		list, byName[name] = append(list, map[string]any{"name": name, "value": value}), value
	}
	switch {
	case len(list) == 0:
	case kubeadmVersion(c.minor) == "kubeadm.k8s.io/v1beta3":
		at["extraArgs"] = byName
	default:
		at["extraArgs"] = list
	}
}

// pki is the folder of keys and certificates that a component uses, by the
// authority that it trusts; kubeadm's where it names none.
func (c *Component) pki() string {
	before := c.Before.Process()
	for _, f := range [...]string{"client-ca-file", "root-ca-file", "trusted-ca-file", "cert-file"} {
		v := before.Flag(f)
		if v == "" {
			continue
		}
		if dir := path.Dir(v); path.Base(dir) == "etcd" {
			return path.Dir(dir)
		}
		return path.Dir(v)
	}
	return defaultPKI
}

// OfKubeadm reports whether all keys and certificates are where kubeadm puts them.
func (r *Result) OfKubeadm() bool {
	return !slices.ContainsFunc(r.Components, func(c *Component) bool { return c.pki() != defaultPKI })
}

// extraVolumes lets the API server's container see the documents and write its
// audit log.
func (r *Result) extraVolumes(c *Component, at map[string]any) {
	if c.Plan.Component != "kube-apiserver" {
		return
	}
	var out []any
	seen := map[string]bool{}
	add := func(name, dir string, readOnly bool) {
		if seen[dir] || dir == "/" || dir == "." {
			return
		}
		seen[dir] = true
		v := map[string]any{"name": name, "hostPath": dir, "mountPath": dir, "pathType": "DirectoryOrCreate"}
		if readOnly {
			v["readOnly"] = true
		}
		out = append(out, v)
	}
	for i := range kindsOfDocument {
		if f := c.Plan.Flags[kindsOfDocument[i].flag]; f != "" && c.Before.Flags[kindsOfDocument[i].flag] != f {
			add("hardening", path.Dir(f), true)
		}
	}
	if f := c.Plan.Flags["audit-log-path"]; path.IsAbs(f) && c.Before.Flags["audit-log-path"] != f {
		add("audit-log", path.Dir(f), false)
	}
	if len(out) > 0 {
		at["extraVolumes"] = out
	}
}
