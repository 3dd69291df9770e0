package harden

import (
	"testing"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
)

// TestSettingsSatisfy holds the settings of every control to their promise.
func TestSettingsSatisfy(t *testing.T) {
	all, err := control.Load(controls.FS, true)
	if err != nil {
		t.Fatal(err)
	}
	lib := control.NewLibrary()
	with := 0
	for _, c := range all {
		if len(c.Settings) > 0 {
			with++
		}
		for _, problem := range Prove(lib, c, assess.NewestMinor()) {
			t.Error(problem)
		}
	}
	if with < 80 {
		t.Errorf("%d controls have settings", with)
	}
}
