package expr

import (
	"testing"

	"github.com/merlon-security/merlon/internal/fact"
)

func doc() Value {
	b := &fact.Builder{}
	b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
	b.String(b.Key("name"), fact.Pos{}, "app")
	b.Int(b.Key("n"), fact.Pos{}, 7)
	b.Float(b.Key("f"), fact.Pos{}, 1.5)
	b.Bool(b.Key("yes"), fact.Pos{}, true)
	b.Null(b.Key("nothing"), fact.Pos{})
	b.Begin(b.Key("list"), fact.Pos{}, fact.List)
	for _, s := range []string{"a", "bb", "ccc"} {
		b.String(fact.Key{}, fact.Pos{}, s)
	}
	b.End()
	b.Begin(b.Key("map"), fact.Pos{}, fact.Map)
	b.String(b.Key("k"), fact.Pos{}, "v")
	b.Begin(b.Key("deep"), fact.Pos{}, fact.Map)
	b.Bool(b.Key("on"), fact.Pos{}, false)
	b.End()
	b.End()
	b.End()
	return FromFact(b.Tree().Root())
}

// expressions holds what every evaluation is compared on: the native code and
// cel-go must agree on value or on there being an error.
var expressions = []string{
	`object.name == "app"`, `object.n + 3 == 10`, `object.n / 2`, `object.n % 0`, `object.n == 7.0`, `object.f > object.n`,
	`has(object.nothing)`, `has(object.map.deep.on)`, `has(object.absent.x)`, `object.?absent.?x.orValue("d")`, `object.?map.?deep.?on.orValue(true)`,
	`object.?map.deep.on`, `has(object.?map.deep)`, `object.?nothing.hasValue()`, `object.absent`, `object.name.x`, `object.?name.?x`,
	`object.absent || true`, `true || object.absent`, `object.absent && false`, `object.absent && true`, `object.name || true`, `object.name || false`,
	`object.list.all(x, size(x) > 0)`, `object.list.exists(x, x == "bb")`, `object.list.exists_one(x, x.startsWith("c"))`,
	`object.list.filter(x, size(x) > 1)`, `object.list.map(x, x + "!")`, `object.list.map(x, size(x) > 1, x)`, `object.list.all(x, x.y)`,
	`object.map.all(k, k != "")`, `object.map.exists(k, v, k == "k" && v == "v")`, `object.list.transformList(i, v, i)`, `object.map.transformMap(k, v, k)`,
	`object.list.all(i, v, i < 3)`, `object.list.map(x, object.list.map(y, x + y))`,
	`"bb" in object.list`, `"k" in object.map`, `"nothing" in object`, `size(object)`, `size(object.list)`, `object.list[1]`, `object.list[9]`, `object.list[?9]`, `object.map["k"]`, `object.map[?"z"]`,
	`object.name.matches("^a.p$")`, `object.name.matches("(")`, `object.name.contains("p")`, `object.name.upperAscii()`, `"a,b".split(",")`, `["x","y"].join("-")`, `"hello".substring(1, 3)`, `"hello".replace("l", "L")`, `" x ".trim()`,
	`object.n > 3 ? "big" : "small"`, `object.nope ? 1 : 2`, `{"a": 1, "b": 2}.a`, `{"a": 1}.b`, `[1, 2] + [3]`, `[1, 2] == [1, 2]`, `dyn({"a": 1}) == dyn({"a": 1.0})`, `[?object.?absent, 1]`, `{?"x": object.?absent}`,
	`int("12")`, `int("x")`, `string(12)`, `double("1.5")`, `bool("true")`, `-object.n`, `!object.yes`, `!object.name`, `9223372036854775807 + 1`, `dyn(1) == "1"`, `null == object.list`,
	`quantity("100Mi").isGreaterThan(quantity("1Mi"))`, `isQuantity("x")`, `optional.none().orValue(3)`, `optional.of(3).value()`, `optional.none().value()`, `object.?name.optMap(n, n + "x").orValue("")`,
	`sets.contains(["a","b"], ["a"])`, `sets.intersects(object.list, ["zz"])`, `[[1],[2]].flatten()`, `[1,1,2].distinct()`, `cidr("10.0.0.0/8").containsIP("10.1.2.3")`, `isIP("10.0.0.1")`, `object.?map.deep.?on.hasValue()`, `object.?map["k"].orValue("x")`, `object.?map[?"k"].hasValue()`, `object.?nope.or(object.?name).orValue("z")`, `object.?nope.or(object.?nix).hasValue()`, `object.absent.?x.orValue(1)`, `object.?name.?x.orValue(2)`, `object.?list.?x.hasValue()`, `object.?map.?deep.orValue({}).?on.orValue(true)`, `optional.of(object).?name.orValue("q")`, `object.?name.or(object.absent).orValue(3)`, `object.?list[0].orValue("i")`, `has(object.?map.deep.on)`,
	`object.list.size()`, `type(object.n) == int`, `type(object.name) == int`, `type(object.map) == map`, `type(1.5) == double`, `type(null) == null_type`, `type([]) == list`, `"héllo".size()`, `variables.big && true`, `variables.none`, `object.list.indexOf("bb")`, `"abc".indexOf("c")`, `"%s".format(["x"])`,
}

func TestNativeEqualsInterpreted(t *testing.T) {
	env := NewEnv([]string{"object"}, nil)
	env, err := env.With("big", "object.n > 5")
	if err != nil {
		t.Fatal(err)
	}
	if env, err = env.With("none", "object.absent.x"); err != nil {
		t.Fatal(err)
	}
	object := doc()
	for _, source := range expressions {
		t.Run(source, func(t *testing.T) { compareBoth(t, env, object, source) })
	}
}

func compareBoth(t *testing.T, env *Env, object Value, source string) {
	t.Helper()
	p, err := env.Compile(source)
	if err != nil {
		t.Fatal(err)
	}
	q, err := env.interpreted(source)
	if err != nil {
		t.Fatal(err)
	}
	f := env.NewFrame()
	f.Begin(env)
	f.Set("object", object)
	got := p.Eval(f)
	f.Begin(env)
	want := q.Eval(f)
	if got.Kind() == Error && want.Kind() == Error {
		return
	}
	if !equal(got, want) {
		t.Errorf("native %s %q %v, cel-go %s %q %v (native: %v)", got.Kind(), got.Text(), got.Err(), want.Kind(), want.Text(), want.Err(), p.Native)
	}
}

func TestUnknownNames(t *testing.T) {
	env := NewEnv([]string{"object"}, nil)
	for _, source := range []string{"objekt.name", "nosuch(object)", "object.name ==", "variables.x"} {
		if _, err := env.Compile(source); err == nil {
			t.Errorf("%s: compiled", source)
		}
	}
}
