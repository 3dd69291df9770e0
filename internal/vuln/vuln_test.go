package vuln

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	const record = `{"id":"X-1","affected":[
	 {"package":{"ecosystem":"Go","name":"m"},"ranges":[{"type":"SEMVER","events":[{"introduced":"1.0.0"},{"fixed":"1.2.0"},{"introduced":"1.3.0"},{"last_affected":"1.3.5"}]}]},
	 {"package":{"ecosystem":"Go","name":"m"},"ranges":[{"type":"SEMVER","events":[{"introduced":"2.0.0"}]}],"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]},
	 {"package":{"ecosystem":"Go","name":"stdlib"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.20.10"},{"introduced":"1.21.0-0"},{"fixed":"1.21.3"}]}]},
	 {"package":{"ecosystem":"Debian:12","name":"d"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1:2.0-1+deb12u1"}]}]},
	 {"package":{"ecosystem":"npm","name":"n"},"versions":["0.1.0"],"ranges":[{"type":"GIT","events":[{"introduced":"0"}]}]},
	 {"package":{"ecosystem":"PyPI","name":"p"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"1.0"},{"limit":"2.0"}]}]}]}`
	a, err := Parse([]byte(record))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		ecosystem, name, version string
		want                     bool
		fixed                    string
	}{
		{"Go", "m", "0.9.0", false, ""},
		{"Go", "m", "1.0.0-rc.1", false, ""},
		{"Go", "m", "1.0.0", true, "1.2.0"},
		{"Go", "m", "v1.1.9", true, "1.2.0"},
		{"Go", "m", "1.2.0", false, ""},
		{"Go", "m", "1.3.5", true, ""},
		{"Go", "m", "1.3.6", false, ""},
		{"Go", "m", "2.9.0", true, ""},
		{"Go", "other", "1.1.0", false, ""},
		{"Go", "stdlib", "go1.20.9", true, "1.20.10"},
		{"Go", "stdlib", "go1.21rc2", true, "1.21.3"},
		{"Go", "stdlib", "go1.21.3", false, ""},
		{"Debian", "d", "1:2.0-1", true, "1:2.0-1+deb12u1"},
		{"Debian:12", "d", "2.0-1", true, "1:2.0-1+deb12u1"},
		{"Debian:12", "d", "1:2.0-1+deb12u1", false, ""},
		{"Debian:11", "d", "1:1.0-1", false, ""},
		{"npm", "n", "0.1.0", true, ""},
		{"npm", "n", "0.1.1", false, ""},
		{"PyPI", "p", "1.5", true, ""},
		{"PyPI", "p", "2.0", false, ""},
	} {
		m, err := a.Match(tt.ecosystem, tt.name, tt.version)
		if err != nil || m.Affected != tt.want || m.Fixed != tt.fixed {
			t.Errorf("%s %s %s = %v, fixed %q, %v; want %v, %q", tt.ecosystem, tt.name, tt.version, m.Affected, m.Fixed, err, tt.want, tt.fixed)
		}
	}
	if m, _ := a.Match("Go", "m", "2.0.0"); m.Level != "critical" || m.Score != 9.8 {
		t.Errorf("severity %q %v, want critical 9.8", m.Level, m.Score)
	}
	for _, bad := range [][2]string{{"Go", ""}, {"Nowhere", "1.0"}} {
		if _, err := Compare(bad[0], bad[1], "1.0"); err == nil {
			t.Errorf("Compare(%q, %q): no error", bad[0], bad[1])
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ record, want string }{
		{`{}`, "no id"},
		{`[`, "read advisory"},
		{`{"id":"A","affected":[{"package":{"name":"p"},"ranges":[{"type":"SEMVER","events":[{"introduced":"1","fixed":"2"}]}]}]}`, "event 0 of p has 2"},
		{`{"id":"A","affected":[{"package":{"name":"p"},"ranges":[{"type":"SEMVER","events":[{}]}]}]}`, "event 0 of p has 0"},
		{`{"id":"A","database_specific":{"merlon":{"needs":[{"flag":"x"}]}}}`, "what about it"},
		{`{"id":"A","database_specific":{"merlon":{"needs":[{"flag":"x","feature":"Y"}]}}}`, "exactly one"},
	} {
		if _, err := Parse([]byte(tt.record)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.record, err, tt.want)
		}
	}
	list, err := ParseAll(strings.NewReader(`[{"id":"A"},{"no":1},{"id":"B"}]`))
	if len(list) != 2 || err == nil || !strings.Contains(err.Error(), "record 2") {
		t.Errorf("%d records, %v; want the two good ones and an error for the second", len(list), err)
	}
}

// TestKubernetes holds the embedded advisories to what they say of versions.
func TestKubernetes(t *testing.T) {
	list, err := Kubernetes()
	if err != nil || len(list) < 47 {
		t.Fatalf("%d advisories, %v", len(list), err)
	}
	for _, a := range list {
		if a.Summary == "" || len(a.Affected) == 0 {
			t.Errorf("%s has no summary or concerns nothing", a.ID)
		}
		for i := range a.Affected {
			at := &a.Affected[i]
			if _, level := Worst(append(at.Severity, a.Severity...)); level == "" {
				t.Errorf("%s: %s has no severity", a.ID, at.Package.Name)
			}
			if _, _, err := at.match(at.Package.Ecosystem, "1.20.0"); err != nil {
				t.Errorf("%s: %v", a.ID, err)
			}
		}
	}
	for _, tt := range []struct {
		running *fake
		want    string // "" for not there, "applies", or part of the evidence
		id      string
	}{
		{&fake{name: "kubelet", version: "v1.32.1"}, "ContainerCheckpoint", "CVE-2025-0426"},
		{&fake{name: "kubelet", version: "v1.32.1", minor: 32, flags: map[string]string{"read-only-port": "0"}}, "read-only-port is 0", "CVE-2025-0426"},
		{&fake{name: "kubelet", version: "v1.32.1", minor: 32, flags: map[string]string{"read-only-port": "10255"}}, "applies", "CVE-2025-0426"},
		{&fake{name: "kubelet", version: "v1.29.1", minor: 29, flags: map[string]string{"read-only-port": "10255"}}, "off by default in 1.29", "CVE-2025-0426"},
		{&fake{name: "kubelet", version: "v1.29.1", minor: 29, flags: map[string]string{"read-only-port": "10255", "feature-gates": "A=true,ContainerCheckpoint=true"}}, "applies", "CVE-2025-0426"},
		{&fake{name: "kubelet", version: "v1.32.2", minor: 32}, "", "CVE-2025-0426"},
		{&fake{name: "kube-apiserver", version: "v1.33.3", minor: 33, flags: map[string]string{"enable-admission-plugins": "NodeRestriction"}}, "applies", "CVE-2025-5187"},
		{&fake{name: "kube-apiserver", version: "v1.33.3", minor: 33, flags: map[string]string{"enable-admission-plugins": "NodeRestriction,OwnerReferencesPermissionEnforcement"}}, "is NodeRestriction,Owner", "CVE-2025-5187"},
		{&fake{name: "kubelet", version: "v1.28.0", minor: 28, system: "linux"}, "runs linux", "CVE-2023-3676"},
		{&fake{name: "kubelet", version: "v1.28.0", minor: 28, system: "windows"}, "applies", "CVE-2023-3676"},
		{&fake{name: "kube-controller-manager", version: "v1.19.1", minor: 19, flags: map[string]string{"v": "2"}}, "v is 2", "CVE-2020-8566"},
		{&fake{name: "kube-controller-manager", version: "v1.19.1", minor: 19, flags: map[string]string{"v": "4"}}, "applies", "CVE-2020-8566"},
		{&fake{name: "kube-apiserver", version: "v1.24.0", minor: 24}, "applies", "CVE-2022-3162"},
		{&fake{name: "kube-apiserver", version: "v1.36.3", minor: 36}, "", "CVE-2022-3162"},
	} {
		got := ""
		for _, v := range Of(list, tt.running, tt.running.version) {
			if v.Advisory.ID == tt.id {
				if got = "applies"; !v.Applies {
					got = v.Evidence
				}
			}
		}
		if tt.running.name == "kubelet" && tt.running.minor == 0 && got == "applies" {
			continue // what the default of the gate is, nobody knows without the version
		}
		if got != tt.want && (tt.want == "" || !strings.Contains(got, tt.want)) {
			t.Errorf("%s %s %v: %s says %q, want %q", tt.running.name, tt.running.version, tt.running.flags, tt.id, got, tt.want)
		}
	}
}

// fake is a component of which every flag is known.
type fake struct {
	name, version, system string
	minor                 int
	flags                 map[string]string
}

func (f *fake) Name() string             { return f.name }
func (f *fake) Minor() int               { return f.minor }
func (f *fake) Flag(name string) string  { return f.flags[name] }
func (f *fake) Known(string) bool        { return true }
func (f *fake) Place(name string) string { return "command line" }
func (f *fake) System() string           { return f.system }

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"id":"A","affected":[{"package":{"ecosystem":"Go","name":"p"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.0.0"}]}]}]}`), "1.0.0")
	f.Add([]byte(`{"id":"A","affected":[{"package":{"ecosystem":"Alpine:v3.1","name":"p"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"last_affected":"1_rc1-r3"}]}]}]}`), "1-r0")
	f.Fuzz(func(t *testing.T, record []byte, version string) {
		a, err := Parse(record)
		if err != nil {
			return
		}
		for i := range a.Affected {
			p := a.Affected[i].Package
			if m, err := a.Match(p.Ecosystem, p.Name, version); err != nil && m.Affected {
				t.Fatalf("affected, and %v", err)
			}
		}
	})
}
