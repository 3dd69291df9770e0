package control

import (
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/internal/fact"
)

func TestKinds(t *testing.T) {
	all, err := Load(controls.FS, true)
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := Kinds(NewLibrary(), all, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Pod", "apps/Deployment", "Namespace", "Secret", "ConfigMap", "PersistentVolumeClaim",
		"rbac.authorization.k8s.io/ClusterRoleBinding", "admissionregistration.k8s.io/MutatingAdmissionPolicyBinding", "networking.istio.io/VirtualService",
	} {
		if !slices.Contains(kinds, want) {
			t.Errorf("%s is missing in %v", want, kinds)
		}
	}
	for _, useless := range []string{"events.k8s.io/Event", "settings.k8s.io/PodPreset", "apiextensions.k8s.io/CustomResourceDefinition"} {
		if slices.Contains(kinds, useless) {
			t.Errorf("%s would be read for the way it is written", useless)
		}
	}
	for _, k := range kinds {
		if strings.ContainsAny(k, "* ") {
			t.Errorf("%q is no kind", k)
		}
	}
}

func TestConsults(t *testing.T) {
	text := `title: t
severity: low
since: "0.1"
why: w
fix: f
scope: pod
variables:
  - {name: group, expression: "find('ConfigMap', 'a', 'b')"}
when: "variables.group.hasValue()"
require: "objects('a.b/' + object.kind + 'Binding').size() == 0 && rulesOf(object).size() == 0"
message: m
`
	c, err := Parse("workload/x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, lib := range map[string]*Library{"native": NewLibrary(), "interpreted": NewLibrary().Interpreted()} {
		compiled, err := c.Compile(lib, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := append([]string{"ConfigMap", "a.b/*Binding"}, roles()...)
		slices.Sort(want)
		if got := compiled.Consults(); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestBlind(t *testing.T) {
	all, err := Load(controls.FS, true)
	if err != nil {
		t.Fatal(err)
	}
	blind := func(gaps ...fact.Gap) []string {
		run, blind, err := Blind(NewLibrary(), all, nil, gaps)
		if err != nil || len(run)+len(blind) != len(all) {
			t.Fatal(err, len(run), len(blind))
		}
		var ids []string
		for _, c := range blind {
			ids = append(ids, c.ID)
		}
		return ids
	}
	if ids := blind(fact.Gap{Kind: "unreadable", File: "x.yaml"}); ids != nil {
		t.Errorf("a gap of one file: %v", ids)
	}
	secrets := blind(fact.Gap{Kind: "not-asked", Hides: "Secret"})
	for _, id := range []string{"secret/secret-in-manifest", "secret/mounted-secret"} {
		if !slices.Contains(secrets, id) {
			t.Errorf("without Secrets %s is judged: %v", id, secrets)
		}
	}
	if slices.Contains(secrets, "rbac/service-account-automount") {
		t.Error("a control whose settings name the kinds it looks up is taken to look up any")
	}
	names := blind(fact.Gap{Kind: "metadata-only", Hides: "Secret"})
	if !slices.Contains(names, "secret/secret-in-manifest") || slices.Contains(names, "secret/mounted-secret") {
		t.Errorf("with names of Secrets: %v", names)
	}
	if ids := blind(fact.Gap{Kind: "forbidden", Hides: "networking.k8s.io/NetworkPolicy"}); !slices.Contains(ids, "network/no-network-policy") && len(ids) < 3 {
		t.Errorf("without NetworkPolicies: %v", ids)
	}
	if ids := blind(fact.Gap{Kind: "forbidden", Hides: "Pod"}); slices.Contains(ids, "workload/privileged-container") {
		t.Errorf("without Pods: %v", ids)
	}
}
