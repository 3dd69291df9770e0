package live

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/test/live/lab"
)

// TestProbeEtcd asks the real etcd how it holds a Secret, which the test cluster
// encrypts, and holds that nothing of it is in the report.
func TestProbeEtcd(t *testing.T) {
	l := lab.Open(t)
	if os.Geteuid() != 0 {
		t.Skip("other processes' files are for root")
	}
	ns := l.Namespace(t)
	l.Apply(t, ns, "apiVersion: v1\nkind: Secret\nmetadata: {name: canary}\nstringData: {a: made-up-and-not-to-be-seen}\n")
	out, errs, code := lab.Merlon(t, "scan", "--node", "--probe-etcd", ns+"/canary", "--control", "apiserver/secret-readable-in-etcd", "-o", "json", "--fail-on", "none")
	var r finding.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("exit code %d: %v\n%s", code, err, errs)
	}
	for _, f := range r.Findings {
		t.Errorf("the encrypted Secret is told as readable: %s", f.Message)
	}
	probed, clusters := 1, 0
	for _, g := range r.Gaps {
		if g.Kind == "not-probed" && strings.Contains(g.Message, "no such Secret") {
			clusters++ // other test clusters on this machine
		} else if g.Kind == "not-probed" {
			probed--
		}
	}
	if probed < 1 {
		t.Errorf("not probed: %+v (%d other clusters)", r.Gaps, clusters)
	}
	if strings.Contains(out+errs, "made-up") {
		t.Error("the value is in the report")
	}
}
