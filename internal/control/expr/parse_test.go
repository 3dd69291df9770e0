package expr

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/debug"
	"go.yaml.in/yaml/v3"
)

// text writes a syntax tree without ids, so that two parsers can be compared.
func text(e ast.Expr) string { return debug.ToDebugString(e) }

// compareParsers demands that what the quick parser takes, cel-go parses to the
// same tree. It reports whether the quick parser took it.
func compareParsers(t *testing.T, env *Env, source string) bool {
	t.Helper()
	got, err := quickParse(source)
	if errors.Is(err, errNotSimple) {
		return false
	}
	cel, err := env.cel()
	if err != nil {
		t.Fatal(err)
	}
	want, issues := cel.Parse(source)
	if issues.Err() != nil {
		t.Fatalf("%q: taken, but cel-go says %v", source, issues.Err())
	}
	if a, b := text(got), text(want.NativeRep().Expr()); a != b {
		t.Errorf("%q:\nquick  %s\ncel-go %s", source, a, b)
	}
	return true
}

func TestQuickParseEqualsCEL(t *testing.T) {
	env := NewEnv([]string{"object"}, nil)
	for _, source := range append(expressions, `a.b.c[0]["x"].?d[?e]`, `-1 - -2`, `!!a`, `!a.b`, `- a`, `1 - 1`, `a ? b : c ? d : e`, `(a)`, `a && b && c && d && e`,
		`a || b || c`, `a + b * c - d / e % f`, `a < b == c`, `[1, 2, 3,]`, `{"a": 1, "b": [2],}`, `f(a)(b)`, `x.y(1)(2)`, `"it's \"q\" \\ \n"`, `'a\'b'`, `1.5 + 2`, `a.in`, `a.?b.optMap(x, x + 1).orValue(2)`, `a.optMap(b.c, d)`, `a.namespace`, `namespace`, `a.true`, `a.null`, `null.a`, `a in b in c`, `has(a.b) && !has(a.?b.c)`, `a.map(x, x > 1, x)`, `--1`, `a.-1`, `has(a)`, `a.all(b.c, d)`, `sets.contains(a, b)`, `"\\."`, `a - 1`, `a -1`, `-9223372036854775808`) {
		compareParsers(t, env, source)
	}
}

// TestQuickParseOverControls parses every expression of every built-in control
// with both parsers; nearly all must be simple.
func TestQuickParseOverControls(t *testing.T) {
	env := NewEnv([]string{"object"}, nil)
	taken, total := 0, 0
	err := fs.WalkDir(os.DirFS("../../../controls"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".yaml") {
			return err
		}
		data, err := os.ReadFile("../../../controls/" + name)
		if err != nil {
			return err
		}
		var c struct {
			When, Items, Require string
			At                   []string
			Variables            []struct{ Expression string }
		}
		if err := yaml.Unmarshal(data, &c); err != nil {
			return err
		}
		sources := append([]string{c.When, c.Items, c.Require}, c.At...)
		for _, v := range c.Variables {
			sources = append(sources, v.Expression)
		}
		for _, source := range sources {
			if source == "" {
				continue
			}
			total++
			if compareParsers(t, env, source) {
				taken++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d expressions are simple", taken, total)
	if taken*100 < total*85 {
		t.Errorf("only %d of %d expressions are simple: a scan pays for cel-go's parser", taken, total)
	}
}

func FuzzQuickParse(f *testing.F) {
	env := NewEnv([]string{"object"}, nil)
	for _, source := range expressions {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if len(source) < 500 {
			compareParsers(t, env, source)
		}
	})
}
