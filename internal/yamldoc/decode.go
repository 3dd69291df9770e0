package yamldoc

import (
	"bytes"
	"reflect"
	"strings"
	"sync"

	"github.com/merlon-security/merlon/internal/fact"
	"go.yaml.in/yaml/v3"
)

// FromFact is a type that takes its own form from a value: what its
// UnmarshalYAML makes of the same text, or false where that would be an error.
// It may have parts of it decoded as usual.
type FromFact interface {
	FromFact(v fact.Value, decode func(v fact.Value, into any) bool) bool
}

// Decoder reads Merlon's own files, of which every start reads hundreds. Its
// zero value is ready; many may use one at once.
type Decoder struct {
	fields  sync.Map  // reflect.Type → map[string]int: fields by the names of their tags
	readers sync.Pool // of *simple
}

// Decode reads one document into a struct by its `yaml` tags, as
// go.yaml.in/yaml/v3 does: a field that the struct does not have is an error.
// The quick reader of manifests takes it where it can; what it leaves, and every
// error, is the library's.
func (d *Decoder) Decode(data []byte, into any) error {
	if d.simple(data, reflect.ValueOf(into).Elem()) {
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	return dec.Decode(into)
}

// simple sets a struct and reports true, or leaves it as it was.
func (d *Decoder) simple(data []byte, into reflect.Value) bool {
	s, ok := d.readers.Get().(*simple)
	if !ok {
		s = &simple{b: &fact.Builder{Positions: true}}
	}
	defer d.readers.Put(s)
	if !s.read(part{text: data, line: 1}, Limits{Values: defaultValues}) {
		return false
	}
	out := reflect.New(into.Type()).Elem()
	out.Set(into)
	x := simpleDecoder{Decoder: d, text: data}
	if !x.value(s.b.Tree().Root(), out) {
		return false
	}
	into.Set(out)
	return true
}

// simpleDecoder puts values into Go types. Like [simple] it gives up, by false,
// at whatever it does not know for certain.
type simpleDecoder struct {
	*Decoder
	text  []byte
	lines [][]byte // of the text, once they are asked for
}

func (d *simpleDecoder) value(v fact.Value, into reflect.Value) bool {
	switch own := into.Addr().Interface().(type) {
	case FromFact:
		return own.FromFact(v, func(v fact.Value, into any) bool { return d.value(v, reflect.ValueOf(into).Elem()) })
	case yaml.Unmarshaler:
		return false
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(v.Str())
		return v.Kind() == fact.String
	case reflect.Bool:
		into.SetBool(v.Bool())
		return v.Kind() == fact.Bool && d.core(v)
	case reflect.Slice:
		return d.list(v, into)
	case reflect.Map:
		return d.mapping(v, into)
	case reflect.Struct:
		return d.structure(v, into)
	case reflect.Interface:
		return d.any(v, into)
	}
	return false
}

func (d *simpleDecoder) list(v fact.Value, into reflect.Value) bool {
	if v.Kind() != fact.List {
		return false
	}
	out := reflect.MakeSlice(into.Type(), v.Len(), v.Len())
	i := 0
	for c := range v.Children() {
		if !d.value(c, out.Index(i)) {
			return false
		}
		i++
	}
	into.Set(out)
	return true
}

func (d *simpleDecoder) mapping(v fact.Value, into reflect.Value) bool {
	t := into.Type()
	if v.Kind() != fact.Map || t.Key().Kind() != reflect.String {
		return false
	}
	out := reflect.MakeMapWithSize(t, v.Len())
	for c := range v.Children() {
		element := reflect.New(t.Elem()).Elem()
		if !d.value(c, element) {
			return false
		}
		out.SetMapIndex(reflect.ValueOf(c.Key().String()).Convert(t.Key()), element)
	}
	into.Set(out)
	return true
}

func (d *simpleDecoder) structure(v fact.Value, into reflect.Value) bool {
	if v.Kind() != fact.Map {
		return false
	}
	fields := d.fieldsOf(into.Type())
	for c := range v.Children() {
		i, ok := fields[c.Key().String()]
		if !ok || !d.value(c, into.Field(i)) {
			return false
		}
	}
	return true
}

// fieldsOf returns the fields of a struct by the names that its tags give them.
// A tag with options names none: such fields are the library's.
func (d *Decoder) fieldsOf(t reflect.Type) map[string]int {
	if known, ok := d.fields.Load(t); ok {
		return known.(map[string]int)
	}
	out := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); t.Field(i).IsExported() && tag != "" && tag != "-" && !strings.Contains(tag, ",") {
			out[tag] = i
		}
	}
	d.fields.Store(t, out)
	return out
}

// any sets what has no type of its own: strings, booleans, integers and lists of
// them. Where the type is free, the library's YAML is a later one than that of
// manifests: a plain yes is a word.
func (d *simpleDecoder) any(v fact.Value, into reflect.Value) bool {
	if into.NumMethod() > 0 {
		return false
	}
	switch v.Kind() {
	case fact.String:
		into.Set(reflect.ValueOf(v.Str()))
	case fact.Bool:
		into.Set(reflect.ValueOf(v.Bool()))
		return d.core(v)
	case fact.Int:
		into.Set(reflect.ValueOf(int(v.Int())))
		return d.core(v)
	case fact.List:
		out := make([]any, v.Len())
		i := 0
		for c := range v.Children() {
			if !d.any(c, reflect.ValueOf(&out[i]).Elem()) {
				return false
			}
			i++
		}
		into.Set(reflect.ValueOf(out))
	default:
		return false
	}
	return true
}

// core reports whether a boolean or a number is written so that all versions of
// YAML read it alike.
func (d *simpleDecoder) core(v fact.Value) bool {
	if d.lines == nil {
		d.lines = bytes.SplitAfter(d.text, []byte{'\n'})
	}
	at := v.Pos()
	if at.Line == 0 || int(at.Line) > len(d.lines) || int(at.Column) > len(d.lines[at.Line-1]) {
		return false
	}
	text := d.lines[at.Line-1][at.Column-1:]
	if name := v.Key().String(); name != "" { // the place of a field is that of its name
		text = bytes.TrimLeft(bytes.TrimPrefix(text, []byte(name+":")), " ")
	}
	if v.Kind() == fact.Bool {
		return bytes.HasPrefix(text, []byte("true")) || bytes.HasPrefix(text, []byte("false"))
	}
	for i, c := range text {
		if c < '0' || c > '9' {
			return i > 0 && i < 10 && (text[0] != '0' || i == 1) && bytes.IndexByte([]byte(",]} \r\n"), c) >= 0
		}
	}
	return len(text) > 0 && len(text) < 10 && (text[0] != '0' || len(text) == 1)
}
