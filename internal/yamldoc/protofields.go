package yamldoc

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"reflect"

	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/merlon-security/merlon/internal/fact"
)

// scan puts the fields of a message on the stack, linked by number; first holds
// for each small number where its first one lies, plus one.
func (p *ProtobufReader) scan(msg []byte, first *[firstFields]int32) bool {
	base := len(p.wire)
	var last [firstFields]int32
	for len(msg) > 0 {
		number, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return false
		}
		f := wireField{number: int(number)}
		msg = msg[n:]
		switch typ {
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(msg)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(msg)
			if f.bytes == nil {
				f.bytes = []byte{}
			}
		case protowire.Fixed64Type:
			f.varint, n = protowire.ConsumeFixed64(msg)
		default:
			n = protowire.ConsumeFieldValue(number, typ, msg)
		}
		if n < 0 {
			return false
		}
		msg = msg[n:]
		p.wire = append(p.wire, f)
		if first != nil && f.number < firstFields {
			at := int32(len(p.wire) - base)
			if before := last[f.number]; before > 0 {
				p.wire[base+int(before)-1].next = at
			} else {
				first[f.number] = at
			}
			last[f.number] = at
		}
	}
	return true
}

// firstFields bounds the field numbers of the API: the largest, of PodSpec, is
// in the forties, and a test holds that none is beyond.
const firstFields = 64

// fields writes the fields of a struct into the map that is open, in the order
// of their declaration.
func (p *ProtobufReader) fields(st *structure, msg []byte, s *shape) error {
	if p.SkipSecretValues && s.gotype == reflect.TypeFor[corev1.Secret]() {
		p.secret = true
		defer func() { p.secret = false }()
	}
	base := len(p.wire)
	var first [firstFields]int32
	if !p.scan(msg, &first) {
		return errWire
	}
	for i := range st.order {
		f := &st.order[i]
		if p.Lean && f.name == "managedFields" {
			continue
		}
		if f.number == 0 || f.number >= firstFields {
			if f.inline && len(p.wire) >= base && p.b.Depth() == 1 {
				p.typeMeta()
			}
			continue
		}
		if err := p.field(f, base, int(first[f.number])-1); err != nil {
			return err
		}
	}
	p.wire = p.wire[:base]
	return nil
}

// typeMeta writes apiVersion and kind, which stand in the envelope.
func (p *ProtobufReader) typeMeta() {
	if p.kind != "" {
		p.b.String(p.b.Key("kind"), fact.Pos{}, p.kind)
	}
	if p.api != "" {
		p.b.String(p.b.Key("apiVersion"), fact.Pos{}, p.api)
	}
}

// field writes one field of a struct, or leaves it out, as encoding/json would.
// Its first wire field is at index at of those from base on, or there is none
// and at is -1.
func (p *ProtobufReader) field(f *field, base, at int) error {
	if at < 0 && (f.pointer || f.shape.form == list || f.shape.form == dictionary || f.shape.form == binary) {
		if !f.omitEmpty {
			p.b.Null(f.key, fact.Pos{})
		}
		return nil
	}
	switch f.shape.form {
	case list:
		if !f.shape.message {
			return p.list(f, base, at)
		}
	case dictionary:
		return p.dictionary(f, base, at)
	case fieldsV1:
		return nil
	}
	var w wireField
	if at >= 0 {
		w = p.last(base, at)
	}
	if f.inline {
		return p.fields(p.types.structure(f.shape), w.bytes, f.shape)
	}
	if !f.pointer && (f.omitEmpty && isZero(f.shape.form, w) || f.omitZero && len(w.bytes) == 0 && w.varint == 0) {
		return nil
	}
	return p.value(f.key, f.shape, w)
}

// last returns the last wire field of a chain: it is the one that counts.
func (p *ProtobufReader) last(base, at int) wireField {
	for p.wire[base+at].next > 0 {
		at = int(p.wire[base+at].next) - 1
	}
	return p.wire[base+at]
}

// isZero reports whether omitempty leaves a value out.
func isZero(f form, w wireField) bool {
	switch f {
	case text, binary:
		return len(w.bytes) == 0
	case boolean, integer, number:
		return w.varint == 0
	}
	return false
}

// value writes one value; a wire field without bytes stands for the zero value.
func (p *ProtobufReader) value(key fact.Key, s *shape, w wireField) error {
	switch s.form {
	case boolean:
		p.b.Bool(key, fact.Pos{}, w.varint != 0)
	case integer:
		v := int64(w.varint)
		if s.bits == 32 {
			v = int64(int32(w.varint))
		}
		p.b.Int(key, fact.Pos{}, v)
	case number:
		if v := floatScalar(math.Float64frombits(w.varint)); v.kind == fact.Int {
			p.b.Int(key, fact.Pos{}, v.i)
		} else {
			p.b.Float(key, fact.Pos{}, v.f)
		}
	case text:
		p.text(key, w.bytes)
	case binary:
		p.b.String(key, fact.Pos{}, base64.StdEncoding.EncodeToString(w.bytes))
	case object:
		p.b.Begin(key, fact.Pos{}, fact.Map)
		if p.b.Depth() > fact.MaxDepth {
			return errors.New("the message nests too deep")
		}
		if err := p.fields(p.types.structure(s), w.bytes, s); err != nil {
			return err
		}
		p.b.End()
	case list: // a message of its own around the elements
		return p.wrapped(key, s, w.bytes)
	default:
		return p.special(key, s.form, w.bytes)
	}
	return nil
}

func (p *ProtobufReader) text(key fact.Key, s []byte) {
	p.b.String(key, fact.Pos{}, validUTF8(view(s)))
}

func (p *ProtobufReader) list(f *field, base, at int) error {
	p.b.Begin(f.key, fact.Pos{}, fact.List)
	for i := at + 1; i > 0; i = int(p.wire[base+i-1].next) {
		w := p.wire[base+i-1]
		if scalar := f.shape.elem.form == integer || f.shape.elem.form == boolean; scalar && w.bytes != nil { // packed
			for packed := w.bytes; len(packed) > 0; {
				v, n := protowire.ConsumeVarint(packed)
				if n < 0 {
					return errWire
				}
				packed = packed[n:]
				if err := p.value(fact.Key{}, f.shape.elem, wireField{varint: v}); err != nil {
					return err
				}
			}
			continue
		}
		if err := p.value(fact.Key{}, f.shape.elem, w); err != nil {
			return err
		}
	}
	p.b.End()
	return nil
}

// wrapped writes a list that is a message with its elements in field 1, such as
// metav1.Verbs.
func (p *ProtobufReader) wrapped(key fact.Key, s *shape, msg []byte) error {
	base := len(p.wire)
	if !p.scan(msg, nil) {
		return errWire
	}
	p.b.Begin(key, fact.Pos{}, fact.List)
	for i := base; i < len(p.wire); i++ {
		if p.wire[i].number == 1 {
			if err := p.value(fact.Key{}, s.elem, p.wire[i]); err != nil {
				return err
			}
		}
	}
	p.b.End()
	p.wire = p.wire[:base]
	return nil
}

// lastApplied is the annotation in which kubectl keeps the whole object, a
// Secret's values included.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

func (p *ProtobufReader) dictionary(f *field, base, at int) error {
	hide := p.secret && (f.name == "data" || f.name == "stringData")
	p.b.Begin(f.key, fact.Pos{}, fact.Map)
	from := len(p.json.keys)
	for i := at + 1; i > 0; i = int(p.wire[base+i-1].next) {
		top := len(p.wire)
		if !p.scan(p.wire[base+i-1].bytes, nil) {
			return errWire
		}
		var name, value wireField
		for _, w := range p.wire[top:] {
			switch w.number {
			case 1:
				name = w
			case 2:
				value = w
			}
		}
		p.wire = p.wire[:top]
		key := p.b.Key(validUTF8(view(name.bytes)))
		if p.Lean && key.String() == lastApplied && f.name == "annotations" {
			continue
		}
		p.json.keys = append(p.json.keys, key)
		p.json.places = append(p.json.places, fact.Pos{})
		if hide || p.secret && key.String() == lastApplied {
			p.b.String(key, fact.Pos{}, "")
			continue
		}
		if err := p.value(key, f.shape.elem, value); err != nil {
			return err
		}
	}
	p.json.duplicates(from)
	p.doubled = p.doubled || p.json.doubled
	p.json.keys, p.json.places = p.json.keys[:from], p.json.places[:from]
	p.b.End()
	return nil
}

// special writes the types that have a JSON form of their own.
func (p *ProtobufReader) special(key fact.Key, f form, msg []byte) error {
	switch f {
	case timestamp, microTimestamp, duration:
		return p.time(key, f, msg)
	case anything:
		return p.raw(key, msg)
	}
	base := len(p.wire)
	if !p.scan(msg, nil) {
		return errWire
	}
	var fields [4]wireField
	for _, w := range p.wire[base:] {
		if w.number < len(fields) {
			fields[w.number] = w
		}
	}
	p.wire = p.wire[:base]
	switch f {
	case quantity: // string = 1
		if len(fields[1].bytes) == 0 {
			fields[1].bytes = []byte("0")
		}
		p.text(key, fields[1].bytes)
	case intOrString: // type = 1, intVal = 2, strVal = 3
		if fields[1].varint == 1 {
			p.text(key, fields[3].bytes)
		} else {
			p.b.Int(key, fact.Pos{}, int64(int32(fields[2].varint)))
		}
	}
	return nil
}

// time writes a time through the type that the API server uses: the format is
// then the same by construction.
func (p *ProtobufReader) time(key fact.Key, f form, msg []byte) error {
	var out []byte
	var err error
	switch f {
	case timestamp:
		var t metav1.Time
		if err = t.Unmarshal(msg); err == nil {
			out, err = t.MarshalJSON()
		}
	case microTimestamp:
		var t metav1.MicroTime
		if err = t.Unmarshal(msg); err == nil {
			out, err = t.MarshalJSON()
		}
	default:
		var d metav1.Duration
		if err = d.Unmarshal(msg); err == nil {
			out, err = d.MarshalJSON()
		}
	}
	if err != nil {
		return errWire
	}
	if string(out) == "null" {
		p.b.Null(key, fact.Pos{})
		return nil
	}
	p.b.String(key, fact.Pos{}, view(out[1:len(out)-1]))
	return nil
}

// raw writes the JSON that a RawExtension holds in field 1.
func (p *ProtobufReader) raw(key fact.Key, msg []byte) error {
	base := len(p.wire)
	if !p.scan(msg, nil) {
		return errWire
	}
	var raw []byte
	for _, w := range p.wire[base:] {
		if w.number == 1 {
			raw = w.bytes
		}
	}
	p.wire = p.wire[:base]
	if len(bytes.TrimSpace(raw)) == 0 {
		p.b.Null(key, fact.Pos{})
		return nil
	}
	if err := p.json.embedded(key, raw); err != nil {
		return errors.New("an embedded object is not JSON")
	}
	return nil
}
