package expr

import (
	"maps"
	"slices"
)

// FromGo returns a value made of Go's plain types: nil, bool, int, int64,
// float64, string, []any, []string, map[string]any. Anything else is an error
// value.
func FromGo(x any) Value {
	switch v := x.(type) {
	case nil:
		return Value{kind: Null}
	case Value:
		return v
	case bool:
		return BoolOf(v)
	case int:
		return IntOf(int64(v))
	case int64:
		return IntOf(v)
	case float64:
		return DoubleOf(v)
	case string:
		return StringOf(v)
	case []string:
		out := make([]Value, len(v))
		for i, s := range v {
			out[i] = StringOf(s)
		}
		return ListOf(out)
	case []any:
		out := make([]Value, len(v))
		for i, e := range v {
			out[i] = FromGo(e)
		}
		return ListOf(out)
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		vals := make([]Value, len(keys))
		for i, k := range keys {
			vals[i] = FromGo(v[k])
		}
		return MapOf(keys, vals)
	}
	return Errorf("cannot convert %T", x)
}
