package e2e

import (
	"os"
	"testing"
)

func TestHardenedApplicationHasNoFindings(t *testing.T) {
	objects := application(t)
	if found := scan(t, everything(t), map[string][]byte{"app.yaml": written(t, objects)}); len(found) > 0 {
		t.Errorf("%d findings in an application with nothing left to mend:%s", len(found), told(found))
	}
}

// TestAnotherHardenedApplicationHasNoFindings holds the same for one in another
// style, as its file is written and as one List.
func TestAnotherHardenedApplicationHasNoFindings(t *testing.T) {
	data, err := os.ReadFile("testdata/ledger.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objects, err := decoded(data)
	if err != nil {
		t.Fatal(err)
	}
	list := form{name: "list"}
	for name, content := range map[string][]byte{
		"as written": data,
		"as a List":  list.written(t, objects),
	} {
		if found := scan(t, everything(t), map[string][]byte{"ledger.yaml": content}); len(found) > 0 {
			t.Errorf("%s: %d findings:%s", name, len(found), told(found))
		}
	}
}
