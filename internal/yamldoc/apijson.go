package yamldoc

import (
	"errors"

	"github.com/merlon-security/merlon/internal/fact"
)

// JSONReader decodes the API server's JSON into trees. It keeps its buffers
// between calls and is not safe for concurrent use.
type JSONReader struct {
	b fact.Builder
	s jsonScanner
}

// errJSON is all that is told of an answer that is no such JSON.
var errJSON = errors.New("the answer is not the JSON of a Kubernetes object")

// Object decodes one object. managedFields and kubectl's copy of the object are
// left out.
func (r *JSONReader) Object(data []byte) (fact.Value, error) {
	r.begin(data)
	v, ok := r.value()
	if r.s.space(); !ok || v.Kind() != fact.Map || r.s.i < len(data) {
		return fact.Value{}, errJSON
	}
	return v, nil
}

// List decodes a list item by item: each is a tree of its own.
func (r *JSONReader) List(data []byte, emit func(fact.Value) error) (ListMeta, error) {
	r.begin(data)
	var meta ListMeta
	err := r.entries('{', '}', func(key string) error {
		switch key {
		case "items":
			if r.s.peek() == 'n' { // null: an empty list
				_, ok := r.value()
				return wrong(ok)
			}
			return r.entries('[', ']', func(string) error {
				v, ok := r.value()
				if !ok {
					return errJSON
				}
				return emit(v)
			})
		case "metadata":
			v, ok := r.value()
			meta = ListMeta{v.At("resourceVersion").Str(), v.At("continue").Str()}
			return wrong(ok)
		}
		_, ok := r.value()
		return wrong(ok)
	})
	if r.s.space(); err == nil && r.s.i < len(data) {
		err = errJSON
	}
	return meta, err
}

func wrong(ok bool) error {
	if ok {
		return nil
	}
	return errJSON
}

func (r *JSONReader) begin(data []byte) {
	r.s = jsonScanner{b: &r.b, keys: r.s.keys[:0], places: r.s.places[:0], seen: r.s.seen, scratch: r.s.scratch}
	r.s.w = append(data[:len(data):len(data)], '\n') // nothing can follow a number
	r.s.line = 1
	r.b.Reset()
	r.s.space()
}

// value reads one value into a tree of its own.
func (r *JSONReader) value() (fact.Value, bool) {
	r.s.left, r.s.doubled, r.s.problems = defaultValues, false, r.s.problems[:0]
	from := len(r.s.keys)
	if err := r.s.value(fact.Key{}, fact.Pos{}); err != nil {
		r.b.Reset()
		return fact.Value{}, false
	}
	r.s.keys, r.s.places = r.s.keys[:from], r.s.places[:from]
	root := r.b.Tree().Root()
	if r.s.doubled {
		withoutDuplicates(&r.b, fact.Key{}, root)
		root = r.b.Tree().Root()
	}
	return lean(&r.b, root), true
}

// entries goes through a list, or through a map whose keys it hands on.
func (r *JSONReader) entries(begin, end byte, each func(key string) error) error {
	if r.s.peek() != begin {
		return errJSON
	}
	r.s.i++
	r.s.space()
	if r.s.peek() == end {
		r.s.i++
		return nil
	}
	for {
		key := ""
		if begin == '{' {
			if r.s.peek() != '"' {
				return errJSON
			}
			text, err := r.s.text()
			if err != nil {
				return errJSON
			}
			key = string(append([]byte(nil), text...))
			if r.s.space(); r.s.peek() != ':' {
				return errJSON
			}
			r.s.i++
			r.s.space()
		}
		if err := each(key); err != nil {
			return err
		}
		r.s.space()
		c := r.s.peek()
		r.s.i++
		switch c {
		case end:
			return nil
		case ',':
			r.s.space()
		default:
			return errJSON
		}
	}
}
