package fact_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/merlon-security/merlon/internal/fact"
)

func TestOfAndBack(t *testing.T) {
	v := map[string]any{
		"a": []any{int64(1), 1.5, "x", true, nil, map[string]any{}}, "b": map[string]any{"c": []any{}, "d": ""},
	}
	if diff := cmp.Diff(any(v), fact.Of(v).Go()); diff != "" {
		t.Error(diff)
	}
	if a, b := fact.Of(v), fact.Of(map[string]any{"b": fact.Of(v["b"]), "a": v["a"]}); !fact.Equal(a, b) {
		t.Error("a part of another tree is not what it was")
	}
	if fact.Of([]string{"a"}).Index(0).Str() != "a" || fact.Of(struct{}{}).Kind() != fact.Null || fact.Of(7).Int() != 7 {
		t.Error("strings, what is unknown, or int")
	}
}
