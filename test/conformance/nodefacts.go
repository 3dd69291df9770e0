package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/merlon-security/merlon/internal/fact"
)

// What other tools' collectors say of a node is brought into the form of
// Merlon's own facts (docs/guide/node.md), for the same controls to judge.

// standsFor is the annotation by which a fact names the collector's object that
// it was made of: "Kind/name".
const standsFor = "conformance/stands-for"

// alias returns what an object stands for.
func alias(o *fact.Object) (kind, name string, ok bool) {
	v := o.Root.At("metadata", "annotations").Get(fact.K(standsFor)).Str()
	kind, name, ok = strings.Cut(v, "/")
	return kind, name, ok
}

// factMaker collects facts made of one document.
type factMaker struct {
	document string
	alias    string
	node     string
	out      []document
}

func (m *factMaker) add(kind, name string, spec map[string]any) {
	m.object(map[string]any{"apiVersion": "merlon.dev/v1", "kind": kind, "spec": spec}, m.alias, m.node+":"+name)
}

// object adds an object under a name that no other has.
func (m *factMaker) object(o map[string]any, alias, name string) {
	o["metadata"] = map[string]any{"name": fmt.Sprintf("%s#%d", name, len(m.out)), "annotations": map[string]any{standsFor: alias}}
	raw, err := json.Marshal(o)
	if err != nil {
		return
	}
	m.out = append(m.out, document{fmt.Sprintf("%s/%d", m.document, len(m.out)), raw})
}

// withFacts adds to documents the facts that they hold as another tool's node
// collector writes them. Other documents stay as they are.
func withFacts(docs []document) []document {
	out := slices.Clone(docs)
	for _, d := range docs {
		if !bytes.Contains(d.text, []byte("hostdata.kubescape.cloud")) && !bytes.Contains(d.text, []byte("NodeInfo")) {
			continue
		}
		var o struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string `yaml:"kind"`
			Metadata   struct {
				Name string `yaml:"name"`
			} `yaml:"metadata"`
			Data hostData `yaml:"data"`
			Info map[string]struct {
				Values []any `yaml:"values"`
			} `yaml:"info"`
		}
		if yaml.Unmarshal(d.text, &o) != nil {
			continue
		}
		m := &factMaker{document: d.name, alias: o.Kind + "/" + o.Metadata.Name, node: o.Metadata.Name}
		switch {
		case strings.HasPrefix(o.APIVersion, "hostdata.kubescape.cloud/"):
			o.Data.facts(m, o.Kind)
		case o.Kind == "NodeInfo":
			for _, key := range slices.Sorted(maps.Keys(o.Info)) {
				nodeInfo(m, key, o.Info[key].Values)
			}
		}
		out = append(out, m.out...)
	}
	return out
}

// hostFile is a file as kubescape's host scanner tells of it.
type hostFile struct {
	Path        string `yaml:"path"`
	Content     string `yaml:"content"` // base64
	Permissions *int   `yaml:"permissions"`
	Ownership   *struct {
		Username  string `yaml:"username"`
		Groupname string `yaml:"groupname"`
	} `yaml:"ownership"`
}

// hostProcess is a component as it tells of it.
type hostProcess struct {
	CmdLine    string     `yaml:"cmdLine"`
	SpecsFile  *hostFile  `yaml:"specsFile"`
	Config     *hostFile  `yaml:"configFile"`
	KubeConfig *hostFile  `yaml:"kubeConfigFile"`
	ClientCA   *hostFile  `yaml:"clientCAFile"`
	Services   []hostFile `yaml:"serviceFiles"`
	Encryption *hostFile  `yaml:"encryptionProviderConfigFile"`
	Audit      *hostFile  `yaml:"auditPolicyFile"`
}

// hostData is what its objects hold under data.
type hostData struct {
	hostProcess `yaml:",inline"`
	APIServer   *hostProcess `yaml:"APIServerInfo"`
	Controller  *hostProcess `yaml:"controllerManagerInfo"`
	Scheduler   *hostProcess `yaml:"schedulerInfo"`
	Etcd        *hostFile    `yaml:"etcdConfigFile"`
	EtcdData    *hostFile    `yaml:"etcdDataDir"`
	Admin       *hostFile    `yaml:"adminConfigFile"`
	PKI         *hostFile    `yaml:"PKIDir"`
	PKIFiles    []hostFile   `yaml:"PKIFiles"`
	CNIFiles    []hostFile   `yaml:"CNIConfigFiles"`
	CNINames    []string     `yaml:"CNINames"`
	Metadata    *bool        `yaml:"providerMetaDataAPIAccess"`
}

// UnmarshalYAML reads what is an object; some collectors write lists here, which
// hold no facts that controls read.
func (h *hostData) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	type plain hostData
	return n.Decode((*plain)(h))
}

func (h *hostData) facts(m *factMaker, kind string) {
	switch kind {
	case "KubeletInfo":
		m.process("kubelet", &h.hostProcess)
		m.file("kubelet-config", "", h.Config)
		m.file("kubelet-kubeconfig", "", h.KubeConfig)
		m.file("client-ca", "", h.ClientCA)
		for i := range h.Services {
			m.file("kubelet-service", "", &h.Services[i])
		}
	case "KubeProxyInfo":
		m.process("kube-proxy", &h.hostProcess)
		m.file("proxy-kubeconfig", "", h.KubeConfig)
	case "CNIInfo":
		for i := range h.CNIFiles {
			m.file("cni-config", "", &h.CNIFiles[i])
		}
		if h.CNINames != nil {
			m.add("NodeHost", "host", map[string]any{"networkPlugins": h.CNINames})
		}
	case "ControlPlaneInfo":
		h.controlPlane(m)
	case "cloudProviderInfo":
		m.add("NodeHost", "host", map[string]any{"metadataService": map[string]any{"reachable": h.Metadata != nil && *h.Metadata}})
	}
}

func (h *hostData) controlPlane(m *factMaker) {
	for _, c := range []struct {
		component, credentials string
		process                *hostProcess
	}{{"kube-apiserver", "", h.APIServer}, {"kube-controller-manager", "controller-manager-kubeconfig", h.Controller}, {"kube-scheduler", "scheduler-kubeconfig", h.Scheduler}} {
		if c.process == nil {
			continue
		}
		m.process(c.component, c.process)
		m.file("static-pod-manifest", c.component, c.process.SpecsFile)
		if c.credentials != "" {
			m.file(c.credentials, "", c.process.Config)
			m.file(c.credentials, "", c.process.KubeConfig)
		}
		m.manifest("EncryptionConfiguration/encryption-provider-config", c.process.Encryption)
		m.manifest("Policy/", c.process.Audit)
	}
	m.file("static-pod-manifest", "etcd", h.Etcd)
	m.file("etcd-data", "", h.EtcdData)
	m.file("admin-kubeconfig", "", h.Admin)
	m.file("pki", "", h.PKI)
	for i := range h.PKIFiles {
		f := &h.PKIFiles[i]
		m.file("pki", "", f)
		if strings.HasSuffix(f.Path, ".key") {
			m.file("pki-key", "", f)
		} else {
			m.file("pki-certificate", "", f)
		}
	}
}

func (f *hostFile) decoded() []byte {
	text, err := base64.StdEncoding.DecodeString(f.Content)
	if err != nil {
		return nil
	}
	return text
}

// manifest adds a file that is an object of Kubernetes itself.
func (m *factMaker) manifest(alias string, f *hostFile) {
	if f == nil || f.Content == "" {
		return
	}
	var o map[string]any
	if yaml.Unmarshal(f.decoded(), &o) == nil && o != nil {
		m.object(o, alias, f.Path)
	}
}

func (m *factMaker) file(role, component string, f *hostFile) {
	if f == nil || f.Permissions == nil && f.Ownership == nil {
		return
	}
	spec := map[string]any{"role": role, "path": f.Path}
	if component != "" {
		spec["component"] = component
	}
	if f.Permissions != nil {
		spec["mode"] = fmt.Sprintf("%04o", *f.Permissions)
	}
	if f.Ownership != nil && f.Ownership.Username != "" {
		spec["owner"], spec["group"] = f.Ownership.Username, f.Ownership.Groupname
	}
	m.add("NodeFile", f.Path, spec)
}

// process adds a component. A file that is told of counts only where the command
// line names one.
func (m *factMaker) process(name string, p *hostProcess) {
	if p.CmdLine == "" {
		return
	}
	spec := map[string]any{"component": name, "command": strings.Fields(p.CmdLine)}
	if strings.Contains(p.CmdLine, "--config") && p.Config != nil {
		var content any
		if text := p.Config.decoded(); len(text) > 0 && yaml.Unmarshal(text, &content) == nil {
			spec["configuration"] = []any{map[string]any{"path": p.Config.Path, "content": content}}
		} else {
			spec["unread"] = []any{p.Config.Path}
		}
	}
	m.add("NodeComponent", name, spec)
}

// nodeInfo adds a fact of a node collector's report: the mode or owner of a
// file, or one flag of the kubelet as it is in force.
func nodeInfo(m *factMaker, key string, values []any) {
	f, isFile := infoFiles[strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(key, "s"), "Permission"), "Ownership")]
	if isFile {
		for _, v := range values {
			spec := map[string]any{"role": f.role, "path": "(" + key + ")"}
			if f.component != "" {
				spec["component"] = f.component
			}
			if owner, group, ok := strings.Cut(fmt.Sprint(v), ":"); ok {
				spec["owner"], spec["group"] = owner, group
			} else {
				spec["mode"] = fmt.Sprintf("%04s", fmt.Sprint(v))
			}
			m.add("NodeFile", key, spec)
		}
		return
	}
	flag, ok := infoFlags[key]
	if !ok {
		return
	}
	var words []string
	for _, v := range values {
		words = append(words, fmt.Sprint(v))
	}
	command := []string{"kubelet"}
	if len(words) > 0 {
		command = append(command, "--"+flag+"="+strings.Join(words, ","))
	}
	m.add("NodeComponent", "kubelet", map[string]any{"component": "kubelet", "command": command})
}

// infoFiles are the names that trivy's node collector gives to files, without
// the ending Permission(s) or Ownership.
var infoFiles = map[string]struct{ role, component string }{
	"kubeAPIServerSpecFile": {"static-pod-manifest", "kube-apiserver"}, "kubeControllerManagerSpecFile": {"static-pod-manifest", "kube-controller-manager"},
	"kubeSchedulerSpecFile": {"static-pod-manifest", "kube-scheduler"}, "kubeEtcdSpecFile": {"static-pod-manifest", "etcd"},
	"containerNetworkInterfaceFile": {"cni-config", ""}, "etcdDataDirectory": {"etcd-data", ""}, "adminConfFile": {"admin-kubeconfig", ""},
	"schedulerConfFile": {"scheduler-kubeconfig", ""}, "controllerManagerConfFile": {"controller-manager-kubeconfig", ""},
	"kubePKIDirectoryFile": {"pki", ""}, "kubePKIKeyFile": {"pki-key", ""}, "kubernetesPKICertificateFile": {"pki-certificate", ""},
	"kubeletServiceFile": {"kubelet-service", ""}, "kubeconfigFileExists": {"proxy-kubeconfig", ""}, "kubeletConfFile": {"kubelet-kubeconfig", ""},
	"certificateAuthoritiesFile": {"client-ca", ""}, "kubeletConfigYamlConfigurationFile": {"kubelet-config", ""},
}

// infoFlags are the names that it gives to the kubelet's settings in force.
var infoFlags = map[string]string{
	"kubeletAnonymousAuthArgumentSet": "anonymous-auth", "kubeletAuthorizationModeArgumentSet": "authorization-mode", "kubeletClientCaFileArgumentSet": "client-ca-file",
	"kubeletReadOnlyPortArgumentSet": "read-only-port", "kubeletProtectKernelDefaultsArgumentSet": "protect-kernel-defaults",
	"kubeletMakeIptablesUtilChainsArgumentSet":         "make-iptables-util-chains",
	"kubeletStreamingConnectionIdleTimeoutArgumentSet": "streaming-connection-idle-timeout",
	"kubeletHostnameOverrideArgumentSet":               "hostname-override",
	"kubeletEventQpsArgumentSet":                       "event-qps",
	"kubeletTlsCertFileTlsArgumentSet":                 "tls-cert-file",
	"kubeletTlsPrivateKeyFileArgumentSet":              "tls-private-key-file",
	"kubeletRotateCertificatesArgumentSet":             "rotate-certificates",
	"kubeletRotateKubeletServerCertificateArgumentSet": "feature-gates=RotateKubeletServerCertificate",
	"kubeletOnlyUseStrongCryptographic":                "tls-cipher-suites",
}
