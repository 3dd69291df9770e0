package expr

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/cel-go/common/operators"
)

// natives finds a function of CEL or of its standard extensions by name. What
// is not here is run by cel-go.
func natives(name string) (native, bool) {
	switch name {
	case operators.Equals:
		return native{two: equals}, true
	case operators.NotEquals:
		return native{two: differs}, true
	case operators.LogicalNot:
		return native{one: not}, true
	case operators.Negate:
		return native{one: negate}, true
	case operators.Less:
		return ordering(name, func(c int) bool { return c < 0 }), true
	case operators.LessEquals:
		return ordering(name, func(c int) bool { return c <= 0 }), true
	case operators.Greater:
		return ordering(name, func(c int) bool { return c > 0 }), true
	case operators.GreaterEquals:
		return ordering(name, func(c int) bool { return c >= 0 }), true
	case operators.In, operators.OldIn:
		return native{two: contained}, true
	case operators.Index:
		return native{two: index}, true
	case operators.OptIndex:
		return native{two: optIndex}, true
	case operators.Add:
		return native{two: func(_ *Frame, a, b Value) Value { return add(a, b) }}, true
	case operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo:
		return native{two: func(_ *Frame, a, b Value) Value { return arithmetic(name, a, b) }}, true
	}
	for _, table := range []func(string) (native, bool){conversions, textFunctions, listFunctions, optionalFunctions} {
		if fn, ok := table(name); ok {
			return fn, true
		}
	}
	return native{}, false
}

func conversions(name string) (native, bool) {
	switch name {
	case operatorsSize:
		return native{one: func(_ *Frame, a Value) Value {
			if n := a.Len(); n >= 0 {
				return IntOf(int64(n))
			}
			return noOverload("size", a)
		}}, true
	case "int":
		return native{one: toInt}, true
	case "double":
		return native{one: toDouble}, true
	case "string":
		return native{one: toString}, true
	case "bool":
		return native{one: toBool}, true
	case "type":
		return native{one: func(_ *Frame, a Value) Value { return OpaqueOf(typeName(a.kind.String())) }}, true
	case "dyn":
		return native{one: func(_ *Frame, a Value) Value { return a }}, true
	}
	return native{}, false
}

const operatorsSize = "size"

// typeName is CEL's type as a value.
type typeName string

// isTypeName reports whether a name is that of a type, which an expression may use as a value.
func isTypeName(name string) bool {
	switch name {
	case "int", "uint", "double", "bool", "string", "list", "map", "null_type":
		return true
	}
	return false
}

func toInt(_ *Frame, a Value) Value {
	switch a.kind {
	case Int:
		return a
	case Double:
		if x := a.Double(); x > -math.MaxInt64 && x < math.MaxInt64 {
			return IntOf(int64(x))
		}
		return Errorf("integer overflow")
	case String:
		n, err := strconv.ParseInt(a.str, 10, 64)
		if err != nil {
			return Errorf("type conversion error from string to int")
		}
		return IntOf(n)
	}
	return noOverload("int", a)
}

func toDouble(_ *Frame, a Value) Value {
	if isNumber(a) {
		return DoubleOf(a.Double())
	}
	if a.kind == String {
		if x, err := strconv.ParseFloat(a.str, 64); err == nil {
			return DoubleOf(x)
		}
		return Errorf("type conversion error from string to double")
	}
	return noOverload("double", a)
}

func toString(_ *Frame, a Value) Value {
	switch a.kind {
	case String:
		return a
	case Int, Uint, Double, Bool:
		return StringOf(a.Text())
	}
	return noOverload("string", a)
}

func toBool(_ *Frame, a Value) Value {
	switch {
	case a.kind == Bool:
		return a
	case a.kind == String:
		switch a.str {
		case "true", "True", "TRUE", "t", "1":
			return BoolOf(true)
		case "false", "False", "FALSE", "f", "0":
			return BoolOf(false)
		}
		return Errorf("type conversion error from string to bool")
	}
	return noOverload("bool", a)
}

func textPredicate(name string, f func(s, t string) bool) native {
	return native{two: func(_ *Frame, a, b Value) Value {
		if a.kind != String || b.kind != String {
			return noOverload(name, a, b)
		}
		return BoolOf(f(a.str, b.str))
	}}
}

func textMap(name string, f func(string) string) native {
	return native{one: func(_ *Frame, a Value) Value {
		if a.kind != String {
			return noOverload(name, a)
		}
		return StringOf(f(a.str))
	}}
}

// asciiOnly maps the letters that CEL's lowerAscii and upperAscii map.
func asciiOnly(f func(rune) rune) func(string) string {
	return func(s string) string {
		return strings.Map(func(r rune) rune {
			if r < utf8.RuneSelf {
				return f(r)
			}
			return r
		}, s)
	}
}

func textFunctions(name string) (native, bool) {
	switch name {
	case "startsWith":
		return textPredicate(name, strings.HasPrefix), true
	case "endsWith":
		return textPredicate(name, strings.HasSuffix), true
	case "contains":
		return textPredicate(name, strings.Contains), true
	case "lowerAscii":
		return textMap(name, asciiOnly(unicode.ToLower)), true
	case "upperAscii":
		return textMap(name, asciiOnly(unicode.ToUpper)), true
	case "trim":
		return textMap(name, strings.TrimSpace), true
	case "matches":
		return native{two: matches}, true
	case "split":
		return native{two: func(_ *Frame, a, b Value) Value { return split(a, b, -1) }, many: func(_ *Frame, v []Value) Value {
			if len(v) != 3 || v[2].kind != Int {
				return noOverload(name, v...)
			}
			return split(v[0], v[1], int(v[2].Int()))
		}}, true
	case "replace":
		return native{many: replace}, true
	case "substring":
		return native{two: func(_ *Frame, a, b Value) Value { return substring(a, b, IntOf(int64(a.Len()))) }, many: func(_ *Frame, v []Value) Value {
			if len(v) != 3 {
				return noOverload(name, v...)
			}
			return substring(v[0], v[1], v[2])
		}}, true
	case "join":
		return native{one: func(_ *Frame, a Value) Value { return join(a, StringOf("")) }, two: func(_ *Frame, a, b Value) Value { return join(a, b) }}, true
	}
	return native{}, false
}

func matches(f *Frame, a, b Value) Value {
	if a.kind != String || b.kind != String {
		return noOverload("matches", a, b)
	}
	re, err := f.pattern(b.str)
	if err != nil {
		return Errorf("error parsing regexp: %v", err)
	}
	return BoolOf(re.matches(a.str))
}

// maxPatterns is how many patterns that are made at run time a frame keeps.
const maxPatterns = 64

// pattern compiles a pattern that is no literal, or finds it compiled.
func (f *Frame) pattern(s string) (*pattern, error) {
	if re, ok := f.patterns[s]; ok {
		return re, nil
	}
	re, err := compilePattern(s)
	if err != nil {
		return nil, err
	}
	if f.patterns == nil || len(f.patterns) >= maxPatterns {
		f.patterns = map[string]*pattern{}
	}
	f.patterns[s] = re
	return re, nil
}

func split(a, b Value, n int) Value {
	if a.kind != String || b.kind != String {
		return noOverload("split", a, b)
	}
	parts := strings.SplitN(a.str, b.str, n)
	out := make([]Value, len(parts))
	for i, p := range parts {
		out[i] = StringOf(p)
	}
	return ListOf(out)
}

func replace(_ *Frame, v []Value) Value {
	n := -1
	if len(v) == 4 && v[3].kind == Int {
		n = int(v[3].Int())
	} else if len(v) != 3 {
		return noOverload("replace", v...)
	}
	for _, x := range v[:3] {
		if x.kind != String {
			return noOverload("replace", v...)
		}
	}
	return StringOf(strings.Replace(v[0].str, v[1].str, v[2].str, n))
}

func substring(a, from, to Value) Value {
	if a.kind != String || from.kind != Int || to.kind != Int {
		return noOverload("substring", a, from, to)
	}
	runes := []rune(a.str)
	i, j := from.Int(), to.Int()
	if i < 0 || i > j || j > int64(len(runes)) {
		return Errorf("index out of range: %d", i)
	}
	return StringOf(string(runes[i:j]))
}

func join(a, sep Value) Value {
	if a.kind != List || sep.kind != String {
		return noOverload("join", a, sep)
	}
	parts := make([]string, 0, a.Len())
	bad := false
	a.Each(func(_, e Value) bool {
		bad = bad || e.kind != String
		parts = append(parts, e.str)
		return !bad
	})
	if bad {
		return noOverload("join", a, sep)
	}
	return StringOf(strings.Join(parts, sep.str))
}

func listFunctions(name string) (native, bool) {
	switch name {
	case "sets.contains":
		return setRelation(name, func(a, b Value) bool { return subset(b, a) }), true
	case "sets.equivalent":
		return setRelation(name, func(a, b Value) bool { return subset(a, b) && subset(b, a) }), true
	case "sets.intersects":
		return setRelation(name, intersects), true
	case "flatten":
		return native{one: flatten}, true
	case "distinct":
		return native{one: distinct}, true
	case "cel.@mapInsert":
		return native{many: mapInsert}, true
	}
	return native{}, false
}

func setRelation(name string, f func(a, b Value) bool) native {
	return native{two: func(_ *Frame, a, b Value) Value {
		if a.kind != List || b.kind != List {
			return noOverload(name, a, b)
		}
		return BoolOf(f(a, b))
	}}
}

func subset(a, b Value) bool {
	all := true
	a.Each(func(_, e Value) bool {
		all = contained(nil, e, b).True()
		return all
	})
	return all
}

func intersects(a, b Value) bool {
	some := false
	a.Each(func(_, e Value) bool {
		some = contained(nil, e, b).True()
		return !some
	})
	return some
}

func flatten(_ *Frame, a Value) Value {
	if a.kind != List {
		return noOverload("flatten", a)
	}
	var out []Value
	a.Each(func(_, e Value) bool {
		if e.kind == List {
			out = append(out, e.Elems()...)
		} else {
			out = append(out, e)
		}
		return true
	})
	return ListOf(out)
}

// distinct keeps the first of equal elements. Strings, which is what lists of
// objects mostly hold, are found by a table.
func distinct(_ *Frame, a Value) Value {
	if a.kind != List {
		return noOverload("distinct", a)
	}
	texts := map[string]bool{}
	var out, others []Value
	a.Each(func(_, e Value) bool {
		if e.kind == String {
			if !texts[e.str] {
				texts[e.str] = true
				out = append(out, e)
			}
			return true
		}
		for _, o := range others {
			if equal(o, e) {
				return true
			}
		}
		others = append(others, e)
		out = append(out, e)
		return true
	})
	return ListOf(out)
}

// mapInsert adds to the map that a transformMap comprehension builds.
func mapInsert(_ *Frame, v []Value) Value {
	if len(v) != 3 || v[0].kind != Map {
		return noOverload("cel.@mapInsert", v...)
	}
	if _, dup := lookup(v[0], v[1]); dup {
		return Errorf("insert failed: key %s already exists", v[1].Text())
	}
	d, ok := v[0].ref.(*dict)
	if !ok {
		return noOverload("cel.@mapInsert", v...)
	}
	return Value{kind: Map, ref: &dict{append(d.keys, v[1]), append(d.vals, v[2])}}
}

func optionalFunctions(name string) (native, bool) {
	switch name {
	case operators.OptSelect:
		return native{two: optIndex}, true
	case "hasValue":
		return native{one: func(_ *Frame, a Value) Value {
			if a.kind != Optional {
				return noOverload(name, a)
			}
			_, ok := a.Get()
			return BoolOf(ok)
		}}, true
	case "value":
		return native{one: func(_ *Frame, a Value) Value {
			if v, ok := a.Get(); ok {
				return v
			}
			return Errorf("optional.none() dereference")
		}}, true
	case "optional.of":
		return native{one: func(_ *Frame, a Value) Value { return Some(a) }}, true
	case "optional.none":
		return native{many: func(*Frame, []Value) Value { return None() }}, true
	case "optional.ofNonZeroValue":
		return native{one: func(_ *Frame, a Value) Value {
			zero := a.kind == Null || a.kind == Bool && a.num == 0 || isNumber(a) && a.Double() == 0 ||
				(a.kind == String || a.kind == List || a.kind == Map) && a.Len() == 0
			if zero {
				return None()
			}
			return Some(a)
		}}, true
	}
	return native{}, false
}
