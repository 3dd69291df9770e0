package fact

import (
	"maps"
	"slices"
)

// Of makes a tree of plain Go values: maps by strings, lists, strings, numbers,
// booleans, nil, and values of other trees. Keys are sorted, so that equal input
// gives equal trees; what is none of these is null.
func Of(v any) Value {
	var b Builder
	b.Add(Key{}, v)
	return b.Tree().Root()
}

// Add adds what [Of] takes.
func (b *Builder) Add(key Key, v any) {
	none := Pos{}
	switch x := v.(type) {
	case bool:
		b.Bool(key, none, x)
	case int:
		b.Int(key, none, int64(x))
	case int64:
		b.Int(key, none, x)
	case float64:
		b.Float(key, none, x)
	case string:
		b.String(key, none, x)
	case Value:
		b.Copy(key, x)
	case []string:
		b.Begin(key, none, List)
		for _, e := range x {
			b.String(Key{}, none, e)
		}
		b.End()
	case []any:
		b.Begin(key, none, List)
		for _, e := range x {
			b.Add(Key{}, e)
		}
		b.End()
	case map[string]any:
		b.Begin(key, none, Map)
		for _, k := range slices.Sorted(maps.Keys(x)) {
			b.Add(b.Key(k), x[k])
		}
		b.End()
	default:
		b.Null(key, none)
	}
}

// Go turns a value into plain Go values: the inverse of [Of].
func (v Value) Go() any {
	switch v.Kind() {
	case Bool:
		return v.Bool()
	case Int:
		return v.Int()
	case Float:
		return v.Float()
	case String:
		return v.Str()
	case List:
		out := make([]any, 0, v.Len())
		for c := range v.Children() {
			out = append(out, c.Go())
		}
		return out
	case Map:
		out := make(map[string]any, v.Len())
		for c := range v.Children() {
			out[c.Key().String()] = c.Go()
		}
		return out
	}
	return nil
}
