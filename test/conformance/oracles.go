package main

import "fmt"

// adapter runs one case: it asks the engine what the foreign tool was asked and
// compares the answers as ORACLES.md defines "agreed" for the oracle.
type adapter func(r *runner, c *testCase, in *input) (outcome, error)

// outcome is how one case went.
type outcome struct {
	agreed   bool
	check    string // the foreign check
	expected string
	got      string
	hits     []hit
	notes    []string
}

// oracle is one set of cases and how it is read.
type oracle struct {
	name   string
	family string                                // map files: NAME.tsv, FAMILY.tsv, FAMILY-*.tsv
	read   func(*testCase) ([]document, error)   // the manifests of a case; nil: no manifests
	run    adapter                               // nil: the oracle of a later issue
	groups []string                              // printed in this order, also when empty
	group  func(c *testCase, in *input) []string // groups that a case is in
	apart  bool                                  // answered without the engine
	later  string                                // which issue will answer it
}

// oracles returns all that are known, in the order of printing. An oracle that
// is not in the list is printed with 0 agreed.
func oracles() []oracle {
	return []oracle{
		{name: "pss-fixtures", family: "pss", read: podDefaults, run: runPSS},
		{name: "badpods", family: "badpods", read: oneManifest, run: runBadPods},
		{name: "kubescape-rule-tests", family: "kubescape", read: kubescapeFiles, run: runKubescape,
			groups: []string{"workload", "rbac", "network", "host", "cloud"}, group: kubescapeGroup},
		{name: "trivy-rego-tests", family: "trivy", read: oneObject, run: runTrivyRego, groups: []string{"ksv", "kcv"}, group: trivyGroup},
		{name: "trivy-examples", family: "trivy", read: oneManifest, run: runVerdict},
		{name: "polaris-check-tests", family: "polaris", read: oneManifest, run: runVerdict},
		{name: "kube-score-fixtures", family: "kube-score", read: oneManifest, run: runKubeScore},
		{name: "kube-linter-e2e", family: "kube-linter", read: oneManifest, run: runKubeLinter},
		{name: "kubeaudit-fixtures", family: "kubeaudit", read: oneManifest, run: runKubeaudit},
		{name: "checkov-examples", family: "checkov", read: manyFiles, run: runCheckov},
		{name: "kubesec-assets", family: "kubesec", read: kubesecFile, run: runKubesec},
		{name: "kubernetes-goat", family: "kubernetes-goat", read: manyFiles, run: runGoat},
		{name: "osv-go-cloudnative", run: runOSV, apart: true},
		{name: "netpol-analyzer-connlist", read: manyFiles, run: runConnlist, apart: true, groups: []string{"core", "core-connlist", "core-exposure"}, group: connlistGroup},
		{name: "netpol-analyzer-diff", run: runNetpolDiff, apart: true},
		{name: "ibm-nca-k8s", run: runNCA, apart: true},
		{name: "gatekeeper-suites", later: "a later issue (foreign policies)"},
		{name: "kyverno-policy-tests", later: "a later issue (foreign policies)", groups: []string{"cel"}, group: kyvernoGroup},
		{name: "kubehound-edges", later: "a later issue (attack graph)"},
		{name: "os-vuln-golden", later: "a later issue (vulnerabilities)"},
		{name: "trivy-scan-golden", later: "a later issue (vulnerabilities)"},
		{name: "version-order", run: runVersionOrder, apart: true},
		{name: "sigstore-bundle-verify", later: "a later issue (signatures)"},
		{name: "oci-layouts", later: "a later issue (images)"},
		{name: "falco-audit-traces", later: "a later issue (audit events)"},
		{name: "event-generator-k8saudit", later: "a later issue (audit events)"},
	}
}

// notYet answers for the oracles of later issues.
func notYet(later string) adapter {
	return func(_ *runner, _ *testCase, _ *input) (outcome, error) {
		return outcome{expected: "an answer", got: "none yet: " + later}, nil
	}
}

// kyvernoGroup tells policies that are CEL: a ValidatingPolicy, or a rule with
// validate.cel.
func kyvernoGroup(c *testCase, _ *input) []string {
	policies, err := namedFiles(c, "policies")
	if err != nil {
		return nil
	}
	in, err := read(policies)
	if err != nil {
		return nil
	}
	for _, o := range in.objects() {
		if o.Kind == "ValidatingPolicy" {
			return []string{"cel"}
		}
		for rule := range o.Root.At("spec", "rules").Children() {
			if rule.At("validate", "cel").Present() {
				return []string{"cel"}
			}
		}
	}
	return nil
}

// connlistGroup tells cases that need neither user-defined networks nor virtual
// machines nor several networks of one pod.
func connlistGroup(c *testCase, _ *input) []string {
	var kinds []string
	if c.decode("kinds", &kinds) != nil {
		return nil
	}
	for _, k := range kinds {
		switch k {
		case "UserDefinedNetwork", "ClusterUserDefinedNetwork", "NetworkAttachmentDefinition", "MultiNetworkPolicy", "VirtualMachine":
			return nil
		}
	}
	groups := []string{"core"}
	var expect struct{ Connlist, Exposure []string }
	if c.decode("expect", &expect) == nil && expect.Connlist != nil {
		groups = append(groups, "core-connlist")
	}
	if expect.Exposure != nil {
		groups = append(groups, "core-exposure")
	}
	return groups
}

// verdictOutcome compares pass and fail.
func verdictOutcome(a *answer, expected string) outcome {
	got := "not answered"
	if a.mapped {
		got = string(a.verdict())
	}
	return outcome{check: a.id, expected: expected, got: got, agreed: got == expected, hits: a.hits, notes: a.notes}
}

// runVerdict is for oracles whose cases expect "pass" or "fail" of one check.
func runVerdict(r *runner, c *testCase, in *input) (outcome, error) {
	a, err := r.ask(in, c.text("check"), setting{})
	if err != nil {
		return outcome{}, err
	}
	return verdictOutcome(a, c.text("expect")), nil
}

// plural writes a number of things.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
