package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/merlon-security/merlon/internal/fact"
)

// ProtobufReader decodes the API server's protobuf into trees, without a typed
// object in between. The result is what encoding/json would write of the typed
// object, so that an object is the same whichever way it came. It keeps its
// buffers between calls and is not safe for concurrent use.
type ProtobufReader struct {
	// SkipSecretValues keeps of a Secret's data, stringData and last applied
	// configuration only the keys; each value is the empty string.
	SkipSecretValues bool
	// Lean leaves out managedFields and the last applied configuration: nobody
	// reads them, and they are half of many an object.
	Lean bool

	types   *Types
	b       fact.Builder
	json    jsonScanner
	wire    []wireField
	secret  bool // within a Secret whose values are skipped
	doubled bool // a dictionary has a key twice
	api     string
	kind    string
}

// NewProtobufReader returns a reader that knows the kinds of t.
func (t *Types) NewProtobufReader() *ProtobufReader {
	p := &ProtobufReader{types: t}
	p.json.b = &p.b
	return p
}

// Protobuf decodes one object or list. Data is a message with or without the
// API server's envelope; apiVersion and kind are used where there is none.
func (t *Types) Protobuf(data []byte, apiVersion, kind string) (fact.Value, error) {
	return t.NewProtobufReader().Object(data, apiVersion, kind)
}

// ErrUnknownKind says that a kind is not built in: the API server serves such
// kinds as JSON only.
var ErrUnknownKind = errors.New("the kind is not built in")

// errWire is all that is told of bytes that are no such message.
var errWire = errors.New("the message is malformed")

// protobufMagic begins every answer of the API server in protobuf.
const protobufMagic = "k8s\x00"

// wireField is one field of a message as it stands on the wire.
type wireField struct {
	number int
	next   int32 // index of the next of the same number, relative to the message's first; 0 for none
	varint uint64
	bytes  []byte
}

// Object decodes one object or list into a tree.
func (p *ProtobufReader) Object(data []byte, apiVersion, kind string) (fact.Value, error) {
	msg, s, err := p.open(data, apiVersion, kind)
	if err != nil {
		return fact.Value{}, err
	}
	return p.tree(s, msg)
}

// List decodes a list item by item, so that no more than one is held: each is a
// tree of its own with the apiVersion and kind that items of a list leave out.
// It returns the list's metadata. The value given to emit may be kept.
func (p *ProtobufReader) List(data []byte, apiVersion, kind string, emit func(fact.Value) error) (fact.Value, error) {
	msg, s, err := p.open(data, apiVersion, kind)
	if err != nil {
		return fact.Value{}, err
	}
	items := p.types.structure(s).byKey[fact.K("items")]
	if items == nil || items.shape.form != list {
		return fact.Value{}, fmt.Errorf("decode %s %s: it is not a list", p.api, p.kind)
	}
	listKind := p.kind
	p.kind = strings.TrimSuffix(listKind, "List")
	rest := make([]byte, 0, 64) // the list without its items
	for len(msg) > 0 {
		number, _, n := protowire.ConsumeField(msg)
		if n < 0 {
			return fact.Value{}, errWire
		}
		if int(number) != items.number {
			rest = append(rest, msg[:n]...)
			msg = msg[n:]
			continue
		}
		_, typ, head := protowire.ConsumeTag(msg)
		item, m := protowire.ConsumeBytes(msg[head:])
		if typ != protowire.BytesType || m < 0 {
			return fact.Value{}, errWire
		}
		msg = msg[n:]
		v, err := p.tree(items.shape.elem, item)
		if err != nil {
			return fact.Value{}, err
		}
		if err := emit(v); err != nil {
			return fact.Value{}, err
		}
	}
	p.kind = listKind
	v, err := p.tree(s, rest)
	return v.Get(fact.K("metadata")), err
}

// open takes the envelope off and finds the shape.
func (p *ProtobufReader) open(data []byte, apiVersion, kind string) ([]byte, *shape, error) {
	p.api, p.kind = apiVersion, kind
	if bytes.HasPrefix(data, []byte(protobufMagic)) {
		var err error
		if data, err = p.envelope(data[len(protobufMagic):]); err != nil {
			return nil, nil, err
		}
	}
	s := p.types.lookup(p.api, p.kind)
	if s == nil || s.form != object {
		return nil, nil, fmt.Errorf("decode %s %s: %w", p.api, p.kind, ErrUnknownKind)
	}
	return data, s, nil
}

// envelope reads runtime.Unknown: typeMeta = 1 {apiVersion = 1, kind = 2},
// raw = 2, contentEncoding = 3, contentType = 4.
func (p *ProtobufReader) envelope(data []byte) ([]byte, error) {
	defer func() { p.wire = p.wire[:0] }()
	p.wire = p.wire[:0]
	if !p.scan(data, nil) {
		return nil, errWire
	}
	var raw []byte
	fields := append([]wireField(nil), p.wire...)
	for _, f := range fields {
		switch f.number {
		case 1:
			p.wire = p.wire[:0]
			if !p.scan(f.bytes, nil) {
				return nil, errWire
			}
			for _, g := range p.wire {
				switch g.number {
				case 1:
					p.api = string(g.bytes)
				case 2:
					p.kind = string(g.bytes)
				}
			}
		case 2:
			raw = f.bytes
		case 3:
			if len(f.bytes) > 0 {
				return nil, errors.New("the message is in an encoding that is not known")
			}
		}
	}
	return raw, nil
}

// tree decodes a message into a tree of its own.
func (p *ProtobufReader) tree(s *shape, msg []byte) (fact.Value, error) {
	p.wire, p.doubled, p.json.doubled = p.wire[:0], false, false
	p.json.keys, p.json.places, p.json.problems = p.json.keys[:0], p.json.places[:0], p.json.problems[:0]
	p.b.Reset()
	p.b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
	if err := p.fields(p.types.structure(s), msg, s); err != nil {
		p.b.Reset()
		return fact.Value{}, fmt.Errorf("decode %s %s: %w", p.api, p.kind, err)
	}
	p.b.End()
	t := p.b.Tree()
	if p.doubled || p.json.doubled {
		withoutDuplicates(&p.b, fact.Key{}, t.Root())
		t = p.b.Tree()
	}
	return t.Root(), nil
}
