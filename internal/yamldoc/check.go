package yamldoc

import (
	"math"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/merlon-security/merlon/internal/fact"
)

// Check holds a document against the type of its kind and returns what the API
// server would refuse or drop, in document order; nil for a kind that is not
// built in. The elements of a List are checked as the objects they are. The
// document is the one that was read, before old API versions are brought to
// their newest shape.
func (t *Types) Check(root fact.Value) []Problem {
	var apiVersion, kind string
	for c := range root.Children() {
		switch c.Key().String() {
		case "apiVersion":
			apiVersion = c.Str()
		case "kind":
			kind = c.Str()
		}
	}
	s := t.lookup(apiVersion, kind)
	if s == nil {
		return nil
	}
	c := checker{types: t, root: s, isList: kind == "List"}
	c.value(root, s)
	return c.problems
}

// checker collects the problems of one document. It allocates only when there
// are some.
type checker struct {
	types    *Types
	root     *shape
	isList   bool
	problems []Problem
}

func (c *checker) add(v fact.Value, kind, message string) {
	if len(c.problems) == maxProblems {
		return
	}
	c.problems = append(c.problems, Problem{Kind: kind, Pos: v.Pos(), Path: v.Path(), Message: message})
}

// expect complains of a value of another kind. The value itself is not told.
func (c *checker) expect(v fact.Value, what string) {
	c.add(v, WrongType, "expected "+what+", found "+v.Kind().String())
}

// value checks what encoding/json, as the API server uses it, would make of a
// value. It takes null for anything.
func (c *checker) value(v fact.Value, s *shape) {
	kind := v.Kind()
	if kind == fact.Null {
		if s.form == duration {
			c.expect(v, "duration")
		}
		return
	}
	switch s.form {
	case boolean:
		if kind != fact.Bool {
			c.expect(v, "boolean")
		}
	case text:
		if kind != fact.String {
			c.expect(v, "string")
		}
	case integer:
		c.integer(v, s.bits)
	case number:
		if kind != fact.Float && kind != fact.Int {
			c.expect(v, "number")
		}
	case object:
		if kind != fact.Map {
			c.expect(v, "map")
			return
		}
		c.object(v, c.types.structure(s))
	case list:
		if kind != fact.List {
			c.expect(v, "list")
			return
		}
		for e := range v.Children() {
			c.value(e, s.elem)
		}
	case dictionary:
		if kind != fact.Map {
			c.expect(v, "map")
			return
		}
		for e := range v.Children() {
			c.value(e, s.elem)
		}
	case anything:
		if c.isList && len(c.problems) < maxProblems {
			c.problems = append(c.problems, c.types.Check(v)...)
		}
	default:
		c.special(v, s.form)
	}
}

func (c *checker) object(v fact.Value, s *structure) {
	for e := range v.Children() {
		if f, ok := s.byKey[e.Key()]; ok {
			c.value(e, f.shape)
		} else {
			c.unknown(v, e, s)
		}
	}
}

func (c *checker) integer(v fact.Value, bits int) {
	if v.Kind() != fact.Int {
		c.expect(v, "integer")
		return
	}
	i := v.Int()
	if bits == 32 && (i > math.MaxInt32 || i < math.MinInt32) {
		c.add(v, WrongType, "expected 32-bit integer, found a larger one")
	}
}

// special checks the types that read their JSON themselves.
func (c *checker) special(v fact.Value, f form) {
	s, isString := v.Str(), v.Kind() == fact.String
	switch f {
	case binary:
		if v.Kind() == fact.List { // to encoding/json that is bytes too
			for e := range v.Children() {
				if !e.IsNull() && (e.Kind() != fact.Int || e.Int() < 0 || e.Int() > math.MaxUint8) {
					c.expect(e, "byte")
				}
			}
		} else if !isString {
			c.expect(v, "base64 string")
		} else if !isBase64(s) {
			c.add(v, WrongType, "expected base64, found a string that is not")
		}
	case intOrString:
		if v.Kind() == fact.Int {
			c.integer(v, 32)
		} else if !isString {
			c.expect(v, "integer or string")
		}
	case quantity:
		switch {
		case v.Kind() == fact.Int:
		case v.Kind() == fact.Float:
			s = string(appendFloat(nil, v.Float()))
		case !isString:
			c.expect(v, "quantity")
			return
		}
		if v.Kind() != fact.Int && !isQuantity(s) {
			c.add(v, WrongType, "expected quantity, found one that is malformed")
		}
	case timestamp, microTimestamp, duration:
		c.time(v, f)
	}
}

func (c *checker) time(v fact.Value, f form) {
	names := map[form]string{timestamp: "time", microTimestamp: "time with microseconds", duration: "duration"}
	if v.Kind() != fact.String {
		c.expect(v, names[f])
		return
	}
	var err error
	switch quoted := []byte(strconv.Quote(v.Str())); f {
	case timestamp:
		err = (&metav1.Time{}).UnmarshalJSON(quoted)
	case microTimestamp:
		err = (&metav1.MicroTime{}).UnmarshalJSON(quoted)
	case duration:
		err = (&metav1.Duration{}).UnmarshalJSON(quoted)
	}
	if err != nil {
		c.add(v, WrongType, "expected "+names[f]+", found one that is malformed")
	}
}

// isQuantity reports whether a text is a quantity. The usual forms are
// recognised here; the parser that the API server uses decides on the others.
func isQuantity(s string) bool {
	i := 0
	for i < len(s) && i < 12 && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i > 0 {
		switch s[i:] {
		case "", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti":
			return true
		}
	}
	_, err := resource.ParseQuantity(strings.TrimSpace(s))
	return err == nil
}

// isBase64 reports whether encoding/base64 decodes a text: line breaks are
// passed over, what the padding leaves over is not looked at.
func isBase64(s string) bool {
	n, pad := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\r' || c == '\n':
			continue
		case c == '=':
			pad++
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			if pad > 0 {
				return false
			}
		default:
			return false
		}
		n++
	}
	return n%4 == 0 && pad <= 2 && (pad == 0 || n >= 4)
}
