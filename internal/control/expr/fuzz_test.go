package expr

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// maker makes expressions at random, of the parts that controls are made of.
type maker struct{ r *rand.Rand }

func (m *maker) of(s ...string) string { return s[m.r.IntN(len(s))] }

// text is an expression that mostly gives a string; the others are alike.
func (m *maker) text(depth int) string {
	if depth == 0 {
		return m.of(`object.name`, `"app"`, `""`, `object.map.k`, `object.?absent.orValue("d")`, `object.absent`, `object.?name.orValue("")`, `object.list[0]`, `string(object.n)`)
	}
	d := depth - 1
	switch m.r.IntN(7) {
	case 0:
		return fmt.Sprintf("%s + %s", m.text(d), m.text(d))
	case 1:
		return fmt.Sprintf("(%s ? %s : %s)", m.truth(d), m.text(d), m.text(d))
	case 2:
		return fmt.Sprintf("%s.%s()", m.text(d), m.of("lowerAscii", "upperAscii", "trim"))
	case 3:
		return fmt.Sprintf("%s.join(%q)", m.list(d), m.of(",", ""))
	case 4:
		return fmt.Sprintf("%s.replace(%q, %q)", m.text(d), m.of("p", "a", ""), m.of("x", ""))
	case 5:
		return fmt.Sprintf("%s.substring(%d)", m.text(d), m.r.IntN(4))
	}
	return m.text(0)
}

func (m *maker) number(depth int) string {
	if depth == 0 {
		return m.of(`object.n`, `3`, `0`, `-1`, `object.f`, `1.5`, `object.?absent.orValue(7)`, `object.absent`, `object.?n.orValue(1)`)
	}
	d := depth - 1
	switch m.r.IntN(4) {
	case 0:
		return fmt.Sprintf("(%s %s %s)", m.number(d), m.of("+", "-", "*", "/", "%"), m.number(d))
	case 1:
		return fmt.Sprintf("size(%s)", m.of(m.text(d), m.list(d)))
	case 2:
		return fmt.Sprintf("%s.size()", m.of(m.text(d), m.list(d), "object.map"))
	}
	return m.number(0)
}

func (m *maker) list(depth int) string {
	if depth == 0 {
		return m.of(`object.list`, `["a", "bb"]`, `[]`, `object.?absent.orValue([])`, `object.?list.orValue([])`, `object.absent`, `object.nothing`)
	}
	d := depth - 1
	switch m.r.IntN(5) {
	case 0:
		return fmt.Sprintf("%s.filter(x, %s)", m.list(d), m.of(`x != "a"`, `size(x) > 1`, m.truth(d)))
	case 1:
		return fmt.Sprintf("%s.map(x, %s)", m.list(d), m.of(`x`, `x + "!"`, m.text(d)))
	case 2:
		return fmt.Sprintf("(%s + %s)", m.list(d), m.list(d))
	case 3:
		return fmt.Sprintf("[%s, %s]", m.text(d), m.text(d))
	}
	return m.list(0)
}

func (m *maker) truth(depth int) string {
	if depth == 0 {
		return m.of(`object.yes`, `true`, `false`, `has(object.name)`, `has(object.absent)`, `has(object.nothing)`, `has(object.map.deep.on)`, `object.?map.?deep.?on.orValue(true)`,
			`object.absent`, `object.?absent.hasValue()`, `object.?name.hasValue()`, `"a" in object.list`, `"k" in object.map`, `object.name == "app"`, `object.n > 3`, `object.map[?"z"].hasValue()`)
	}
	d := depth - 1
	switch m.r.IntN(9) {
	case 0:
		return fmt.Sprintf("(%s && %s)", m.truth(d), m.truth(d))
	case 1:
		return fmt.Sprintf("(%s || %s)", m.truth(d), m.truth(d))
	case 2:
		return fmt.Sprintf("!(%s)", m.truth(d))
	case 3:
		return fmt.Sprintf("%s %s %s", m.number(d), m.of("==", "!=", "<", "<=", ">", ">="), m.number(d))
	case 4:
		return fmt.Sprintf("%s %s %s", m.text(d), m.of("==", "!=", "<", ">"), m.text(d))
	case 5:
		return fmt.Sprintf("%s.%s(x, %s)", m.of(m.list(d), "object.map"), m.of("all", "exists", "exists_one"), m.of(`x == "a"`, `x != ""`, m.truth(d)))
	case 6:
		return fmt.Sprintf("%s in %s", m.text(d), m.list(d))
	case 7:
		return fmt.Sprintf("%s.%s(%s)", m.text(d), m.of("startsWith", "endsWith", "contains", "matches"), m.text(d))
	}
	return m.truth(0)
}

// FuzzNativeEqualsInterpreted holds expressions made at random to one meaning:
// the native code and cel-go give the same value, or both an error.
func FuzzNativeEqualsInterpreted(f *testing.F) {
	for seed := range uint64(150) {
		f.Add(seed)
	}
	env := NewEnv([]string{"object"}, nil)
	object := doc()
	f.Fuzz(func(t *testing.T, seed uint64) {
		m := &maker{rand.New(rand.NewPCG(seed, 1))}
		for range 4 {
			source := m.truth(1 + m.r.IntN(3))
			if _, err := env.interpreted(source); err != nil {
				continue // the type checker refuses it
			}
			t.Log(source)
			compareBoth(t, env, object, source)
		}
	})
}
