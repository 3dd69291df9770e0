package vuln

import (
	"bytes"
	_ "embed"
	"slices"
	"strings"
)

//go:embed kubernetes.json
var kubernetes []byte

// Kubernetes returns the advisories of Kubernetes itself that are built in: ids,
// ranges and severities of the project's own CVE feed, with titles of ours and
// what each needs, which the feed only says in prose.
func Kubernetes() ([]*Advisory, error) { return ParseAll(bytes.NewReader(kubernetes)) }

// packages are the names of a component in advisories.
func packages(component string) []string {
	switch component {
	case "kube-apiserver":
		return []string{"k8s.io/apiserver", "k8s.io/kubernetes"}
	case "kube-controller-manager":
		return []string{"k8s.io/controller-manager", "k8s.io/kubernetes"}
	case "kube-scheduler":
		return []string{"k8s.io/kube-scheduler", "k8s.io/kubernetes"}
	case "kubelet", "kube-proxy":
		return []string{"k8s.io/" + component, "k8s.io/kubernetes"}
	}
	return nil
}

// Verdict is one advisory in whose range a component lies.
type Verdict struct {
	Advisory *Advisory
	Match    Match
	Applies  bool
	Evidence string // why it does not apply
}

// Of returns the advisories in whose range a running component lies, the gravest
// first, each judged for whether what it needs is there.
func Of(list []*Advisory, c Running, version string) []Verdict {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "+") // what distributions add
	if version == "" {
		return nil
	}
	var out []Verdict
	for _, a := range list {
		for _, name := range packages(c.Name()) {
			m, err := a.Match("kubernetes", name, version)
			if err != nil || !m.Affected {
				continue
			}
			v := Verdict{Advisory: a, Match: m}
			v.Applies, v.Evidence = a.Applies(c)
			out = append(out, v)
			break
		}
	}
	slices.SortFunc(out, func(a, b Verdict) int {
		if a.Match.Score != b.Match.Score {
			if a.Match.Score > b.Match.Score {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Advisory.ID, b.Advisory.ID)
	})
	return out
}
