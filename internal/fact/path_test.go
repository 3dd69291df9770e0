package fact

import "testing"

func TestPathsOfTwins(t *testing.T) {
	b := &Builder{}
	b.Begin(Key{}, Pos{}, Map)
	b.Begin(b.Key("env"), Pos{}, List)
	for _, name := range []string{"PORT", "HOST", "PORT", "PORT"} {
		b.Begin(Key{}, Pos{}, Map)
		b.String(b.Key("name"), Pos{}, name)
		b.End()
	}
	b.End()
	b.End()
	list := b.Tree().Root().At("env")
	for i, want := range [][3]string{
		{"env[0].name", "env[0].name", "env[PORT].name"},
		{"env[1].name", "env[HOST].name", "env[HOST].name"},
		{"env[2].name", "env[2].name", "env[PORT#2].name"},
		{"env[3].name", "env[3].name", "env[PORT#3].name"},
	} {
		v := list.Index(i).At("name")
		if got := [3]string{v.Path(), v.ShownPath(), v.NamedPath()}; got != want {
			t.Errorf("element %d: %q, want %q", i, got, want)
		}
	}
}
