package node

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/test/live/lab"
)

// TestKubeletConfig reads the configuration of a real kubelet through the right
// on nodes/configz and no other, and holds that without it there is a gap.
func TestKubeletConfig(t *testing.T) {
	l := lab.Open(t)
	ns := l.Namespace(t)
	for _, tt := range []struct {
		name   string
		rights []string
	}{{"with the right", []string{"--with", "kubelet-config"}}, {"without it", nil}} {
		t.Run(tt.name, func(t *testing.T) {
			a := l.Account(t, ns, tt.rights...)
			out, errs, _ := lab.Merlon(t, "scan", "--cluster", "--kubeconfig", a.Kubeconfig, "--with", "kubelet-config", "--control", "kubelet", "-o", "json", "--fail-on", "none")
			var r finding.Report
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatalf("%v\n%s", err, errs)
			}
			found, gap := false, false
			for _, f := range r.Findings {
				found = found || f.Control == "kubelet/unlimited-pids" && strings.HasPrefix(f.Evidence[0].Path, "spec.configuration[0].content.podPidsLimit")
				if f.Control == "kubelet/hostname-override" {
					t.Error("judged by a command line that nobody has seen")
				}
			}
			for _, g := range r.Gaps {
				gap = gap || g.Kind == "forbidden" && strings.Contains(g.Message, "get nodes/configz")
			}
			if with := tt.rights != nil; found != with || gap == with {
				t.Errorf("found %v, gap %v\n%s", found, gap, out)
			}
		})
	}
}
