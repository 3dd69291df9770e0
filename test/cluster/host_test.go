package cluster

import (
	"slices"
	"testing"
)

func TestMountPointsAtAndBelowAFolder(t *testing.T) {
	const mountinfo = `22 1 254:0 / / rw,relatime - ext4 /dev/root rw
30 22 0:25 / /lab/n1 rw - tmpfs tmpfs rw
31 30 0:26 / /lab/n1/pods/a\040b/secret rw - tmpfs tmpfs rw
32 22 0:27 / /lab/n10/other rw - tmpfs tmpfs rw
33 22 0:28 / /lab/n1/back\134slash rw shared:7 - tmpfs tmpfs rw
`
	got := mountPoints(mountinfo, "/lab/n1")
	want := []string{`/lab/n1/back\slash`, "/lab/n1/pods/a b/secret", "/lab/n1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: last mounted first", got, want)
	}
}

func TestFixedPathsAreRemovedChildrenFirst(t *testing.T) {
	paths := fixedPaths()
	for i, parent := range paths {
		for _, later := range paths[i+1:] {
			if len(later) > len(parent) && later[:len(parent)+1] == parent+"/" {
				t.Errorf("%s comes before %s, which is in it", parent, later)
			}
		}
	}
}
