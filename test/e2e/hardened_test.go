package e2e

import "testing"

func TestHardenedApplicationHasNoFindings(t *testing.T) {
	objects := application(t)
	if found := scan(t, everything(t), map[string][]byte{"app.yaml": written(t, objects)}); len(found) > 0 {
		t.Errorf("%d findings in an application with nothing left to mend:%s", len(found), told(found))
	}
}
