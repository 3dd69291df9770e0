package smoke

import (
	"slices"
	"testing"
)

func TestLeftNamesWhatIsNewAndWhatIsGone(t *testing.T) {
	before := trace{"mount /": true, "sysctl vm/x=0": true}
	after := trace{"mount /": true, "sysctl vm/x=1": true}
	want := []string{"gone: sysctl vm/x=0", "new: sysctl vm/x=1"}
	if got := after.left(before); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := before.left(before); len(got) > 0 {
		t.Errorf("same trace: %v", got)
	}
}
