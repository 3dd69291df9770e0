package assess

import (
	"maps"
	"slices"
	"testing"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
)

// TestUnseen tells the controls that are about something which every cluster has
// and the input does not show; of files nobody says that there is more.
func TestUnseen(t *testing.T) {
	var all []*control.Control
	for id, scope := range map[string]string{
		"own/api": "{each: component, component: kube-apiserver}", "own/etcd": "{each: component, component: etcd}",
		"own/file": "{each: object, kinds: [merlon.dev/NodeFile]}", "own/policy": "{each: object, kinds: [audit.k8s.io/Policy]}",
		"own/service": "{each: object, kinds: [Service]}",
	} {
		c, err := control.Parse(id+".yaml", []byte("title: x\nseverity: low\nwhy: x\nfix: x\nscope: "+scope+"\nrequire: \"true\"\nmessage: x\n"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	s := (&fact.Snapshot{}).Apply(fact.Change{Op: fact.Upsert, Object: in(t, "", "", "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: a, command: [kube-apiserver]}]}}", 0)})
	process := in(t, "", "", "{apiVersion: merlon.dev/v1, kind: NodeComponent, metadata: {name: n1.kube-apiserver}, spec: {component: kube-apiserver, command: [kube-apiserver]}}", 1)
	process.Origin.Source = "node"
	machine := s.Apply(fact.Change{Op: fact.Upsert, Object: process})
	for _, c := range []struct {
		live bool
		s    *fact.Snapshot
		want []string
	}{
		{true, s, []string{"own/etcd", "own/file", "own/policy"}},
		{true, machine, []string{"own/etcd", "own/file"}}, // its documents would have been read with it
		{false, s, nil},
	} {
		a, err := New(control.NewLibrary(), all, Options{Minor: 36, Live: c.live}).Assess(c.s)
		if err != nil {
			t.Fatal(err)
		}
		unseen := map[string]bool{}
		for _, r := range a.Results() {
			if r.Unseen {
				unseen[r.Control] = true
			}
		}
		if got := slices.Sorted(maps.Keys(unseen)); !slices.Equal(got, c.want) {
			t.Errorf("live %v, %d objects: %v, want %v", c.live, c.s.Len(), got, c.want)
		}
	}
}
