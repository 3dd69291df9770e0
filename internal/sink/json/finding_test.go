package json

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// texts are strings that every escape has to deal with.
var texts = []string{
	"", "a", "::warning", "a::b", "##", "<b>&\"'\\", "line\nbreak\ttab", "\x00\x1f\x7f", "ümläut", "\u202e", "\u2028", "\U000f0000",
	"\xff\xfe", "plain text of more than sixty-four characters, so that it is remembered, and then some",
	"text of more than sixty-four characters with a \"quote\", so that it is remembered in its encoded form",
}

// random fills every field of a value that can be set, so that a field added to
// Finding and forgotten in the encoder shows.
func random(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(texts[r.IntN(len(texts))])
	case reflect.Int:
		v.SetInt(int64(r.IntN(3) * 1000))
	case reflect.Uint8:
		v.SetUint(uint64(r.IntN(5)))
	case reflect.Uint32:
		v.SetUint(uint64(r.IntN(3)))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Struct:
		for i := range v.NumField() {
			random(r, v.Field(i))
		}
	case reflect.Pointer:
		if r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			random(r, v.Elem())
		}
	case reflect.Slice:
		n := r.IntN(3)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			random(r, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range r.IntN(3) {
			key, val := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			random(r, key)
			random(r, val)
			v.SetMapIndex(key, val)
		}
	default:
		panic("no random " + v.Kind().String())
	}
}

// The encoder writes what encoding/json does, in the safe form.
func TestFindingEqualsReflection(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	e := &encoder{}
	for range 5000 {
		var f finding.Finding
		random(r, reflect.ValueOf(&f).Elem())
		want, err := sink.AppendJSON(nil, &f)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(e.finding(nil, &f))); d != "" {
			t.Fatalf("%+v: (-reflection +encoder)\n%s", f, d)
		}
	}
	if e.err != nil {
		t.Error(e.err)
	}
}
