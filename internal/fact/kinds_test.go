package fact

import (
	"maps"
	"slices"
	"testing"
)

// TestWorkloadKinds holds the list to the tables that tell where pods lie.
func TestWorkloadKinds(t *testing.T) {
	want := slices.AppendSeq(slices.Collect(maps.Keys(podPaths)), maps.Keys(manyPods))
	slices.Sort(want)
	want = slices.Compact(want)
	got := WorkloadKinds()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}
