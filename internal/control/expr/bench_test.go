package expr

import (
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

// guards are requirements as controls write them.
var guards = []string{
	`!object.?map.?deep.?on.orValue(false)`,
	`object.list.all(x, size(x) > 0 && x != "zz")`,
	`object.name == "app" && object.?nothing.hasValue() == false`,
}

// BenchmarkGuard runs requirements natively and by cel-go; an operation is all
// three.
func BenchmarkGuard(b *testing.B) {
	env := NewEnv([]string{"object"}, nil)
	object := doc()
	for name, compile := range map[string]func(string) (*Program, error){"closures": env.Compile, "cel-go": env.interpreted} {
		b.Run(name, func(b *testing.B) {
			var programs []*Program
			for _, g := range guards {
				p, err := compile(g)
				if err != nil {
					b.Fatal(err)
				}
				programs = append(programs, p)
			}
			f := env.NewFrame()
			b.ReportAllocs()
			for b.Loop() {
				f.Begin(env)
				f.Set("object", object)
				for _, p := range programs {
					p.Eval(f)
				}
			}
		})
	}
}

// BenchmarkCompile makes requirements ready; an operation is all three. check is
// what the API server does first, and what a scan leaves to `controls test`.
func BenchmarkCompile(b *testing.B) {
	env := NewEnv([]string{"object"}, nil)
	celgo, err := env.cel()
	if err != nil {
		b.Fatal(err)
	}
	each := func(b *testing.B, do func(string) error) {
		b.ReportAllocs()
		for b.Loop() {
			for _, g := range guards {
				if err := do(g); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("closures", func(b *testing.B) {
		each(b, func(g string) error { _, err := env.Compile(g); return err })
	})
	b.Run("cel-go", func(b *testing.B) {
		each(b, func(g string) error {
			checked, issues := celgo.Compile(g)
			if issues.Err() != nil {
				return issues.Err()
			}
			_, err := celgo.Program(checked)
			return err
		})
	})
	b.Run("cel-go-environment", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := celEnv(env.order, env.funcs); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkGuardPlainMaps is cel-go over the maps that it reads by itself, as
// in the API server: what our adapter costs cel-go is not held against it.
func BenchmarkGuardPlainMaps(b *testing.B) {
	env := NewEnv([]string{"object"}, nil)
	celgo, err := env.cel()
	if err != nil {
		b.Fatal(err)
	}
	object := types.DefaultTypeAdapter.NativeToValue(map[string]any{
		"name": "app", "list": []any{"a", "bb", "ccc"}, "map": map[string]any{"k": "v", "deep": map[string]any{"on": false}},
	})
	var programs []cel.Program
	for _, g := range guards {
		checked, issues := celgo.Compile(g)
		if issues.Err() != nil {
			b.Fatal(issues.Err())
		}
		p, err := celgo.Program(checked)
		if err != nil {
			b.Fatal(err)
		}
		programs = append(programs, p)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range programs {
			if v, _, _ := p.Eval(map[string]any{"object": object}); v == nil {
				b.Fatal("no value")
			}
		}
	}
}
