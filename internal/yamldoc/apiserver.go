package yamldoc

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/merlon-security/merlon/internal/fact"
)

// What a client of the API server needs besides whole objects: the items of a
// list one by one, who an item is before it is decoded, the events of a watch.

// Identity is what tells an object from others and who controls it, read from
// a message without decoding it.
type Identity struct {
	Namespace, Name, UID, Version string
	Controller                    Owner // zero when nothing controls the object
}

// Owner is the controlling one of an object's ownerReferences.
type Owner struct{ APIVersion, Kind, Name, UID string }

// ListMeta is where a list stands: its resource version, and the token of the
// next page or "".
type ListMeta struct{ Version, Continue string }

// Items hands the items of a list in protobuf to emit, as messages that are
// part of data: without an envelope, apiVersion and kind.
func (p *ProtobufReader) Items(data []byte, emit func(item []byte) error) (ListMeta, error) {
	msg, s, err := p.open(data, "", "")
	if err != nil {
		return ListMeta{}, err
	}
	items := p.types.structure(s).byKey[fact.K("items")]
	if items == nil || items.shape.form != list {
		return ListMeta{}, fmt.Errorf("decode %s %s: it is not a list", p.api, p.kind)
	}
	var meta ListMeta
	err = eachField(msg, func(number protowire.Number, value []byte) error {
		switch int(number) {
		case items.number:
			return emit(value)
		case 1: // metadata of every list
			return eachField(value, func(number protowire.Number, value []byte) error {
				switch number {
				case 2:
					meta.Version = string(value)
				case 3:
					meta.Continue = string(value)
				}
				return nil
			})
		}
		return nil
	})
	return meta, err
}

// Identify reads an object's identity from its message. Every object has its
// metadata in field 1. Source: generated.proto of apimachinery's meta/v1.
func Identify(item []byte) (Identity, error) {
	var id Identity
	err := eachField(item, func(number protowire.Number, value []byte) error {
		if number != 1 {
			return nil
		}
		return eachField(value, func(number protowire.Number, value []byte) error {
			switch number {
			case 1:
				id.Name = string(value)
			case 3:
				id.Namespace = string(value)
			case 5:
				id.UID = string(value)
			case 6:
				id.Version = string(value)
			case 13:
				return id.owner(value)
			}
			return nil
		})
	})
	return id, err
}

func (id *Identity) owner(msg []byte) error {
	var o Owner
	controls := false
	for len(msg) > 0 {
		number, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return errWire
		}
		msg = msg[n:]
		if number == 6 && typ == protowire.VarintType {
			v, n := protowire.ConsumeVarint(msg)
			if n < 0 {
				return errWire
			}
			controls, msg = v != 0, msg[n:]
			continue
		}
		n = protowire.ConsumeFieldValue(number, typ, msg)
		if n < 0 {
			return errWire
		}
		if value, _ := protowire.ConsumeBytes(msg); typ == protowire.BytesType {
			switch number {
			case 1:
				o.Kind = string(value)
			case 3:
				o.Name = string(value)
			case 4:
				o.UID = string(value)
			case 5:
				o.APIVersion = string(value)
			}
		}
		msg = msg[n:]
	}
	if controls {
		id.Controller = o
	}
	return nil
}

// IdentityOf reads the same from an object that is decoded.
func IdentityOf(root fact.Value) Identity {
	meta := root.Get(fact.K("metadata"))
	text := func(v fact.Value, name string) string { return v.Get(fact.K(name)).Str() }
	id := Identity{Namespace: text(meta, "namespace"), Name: text(meta, "name"), UID: text(meta, "uid"), Version: text(meta, "resourceVersion")}
	for o := range meta.Get(fact.K("ownerReferences")).Children() {
		if o.Get(fact.K("controller")).Bool() {
			id.Controller = Owner{text(o, "apiVersion"), text(o, "kind"), text(o, "name"), text(o, "uid")}
		}
	}
	return id
}

// eachField calls f for each field of a message that has a length.
func eachField(msg []byte, f func(number protowire.Number, value []byte) error) error {
	for len(msg) > 0 {
		number, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return errWire
		}
		msg = msg[n:]
		if n = protowire.ConsumeFieldValue(number, typ, msg); n < 0 {
			return errWire
		}
		if typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(msg)
			if err := f(number, value); err != nil {
				return err
			}
		}
		msg = msg[n:]
	}
	return nil
}

// Event reads one event of a watch in protobuf: its type and the object's
// message, in an envelope. Source: WatchEvent in generated.proto of
// apimachinery's meta/v1.
func Event(msg []byte) (kind string, object []byte, err error) {
	err = eachField(msg, func(number protowire.Number, value []byte) error {
		switch number {
		case 1:
			kind = string(value)
		case 2:
			return eachField(value, func(number protowire.Number, value []byte) error {
				if number == 1 {
					object = value
				}
				return nil
			})
		}
		return nil
	})
	return kind, object, err
}

// StatusCode reads the HTTP code of a Status in protobuf, with its envelope; 0
// when there is none. Source: Status in generated.proto of apimachinery's
// meta/v1.
func StatusCode(data []byte) int {
	code := 0
	_ = eachField(bytes.TrimPrefix(data, []byte(protobufMagic)), func(number protowire.Number, msg []byte) error {
		for number == 2 && len(msg) > 0 {
			field, typ, n := protowire.ConsumeTag(msg)
			if n < 0 {
				return errWire
			}
			if field == 6 && typ == protowire.VarintType {
				v, _ := protowire.ConsumeVarint(msg[n:])
				code = int(int32(v))
			}
			m := protowire.ConsumeFieldValue(field, typ, msg[n:])
			if m < 0 {
				return errWire
			}
			msg = msg[n+m:]
		}
		return nil
	})
	return code
}

// FrameLength reads the four bytes in front of each event of a watch in
// protobuf.
func FrameLength(head [4]byte) uint32 {
	return uint32(head[0])<<24 | uint32(head[1])<<16 | uint32(head[2])<<8 | uint32(head[3])
}

// Unwrap takes the API server's envelope off one object.
func (p *ProtobufReader) Unwrap(data []byte) ([]byte, error) {
	msg, _, err := p.open(data, "", "")
	return msg, err
}

// lean copies an object without managedFields and without kubectl's copy of it,
// if it has either: nobody reads them, and they are half of many an object.
func lean(b *fact.Builder, root fact.Value) fact.Value {
	meta := root.Get(fact.K("metadata"))
	fields, notes := meta.Get(fact.K("managedFields")), meta.Get(fact.K("annotations"))
	applied := notes.Get(fact.K(lastApplied))
	if !fields.Present() && !applied.Present() {
		return root
	}
	copyWithout(b, root, fields, applied)
	return b.Tree().Root()
}

// copyWithout adds a value to the builder, without the parts given.
func copyWithout(b *fact.Builder, v fact.Value, parts ...fact.Value) {
	hit := false
	for _, p := range parts {
		if p.Present() && p.Same(v) {
			return
		}
		hit = hit || p.Present() && p.Within(v)
	}
	if !hit {
		b.Copy(v.Key(), v)
		return
	}
	b.Begin(v.Key(), v.Pos(), v.Kind())
	for c := range v.Children() {
		copyWithout(b, c, parts...)
	}
	b.End()
}

// MetadataOnly turns what the API server tells of an object when only its
// metadata is asked for into an object of its kind, without annotations: they
// may hold what was not asked for.
func MetadataOnly(partial fact.Value, apiVersion, kind string) fact.Value {
	b := &fact.Builder{}
	b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
	b.String(fact.K("apiVersion"), fact.Pos{}, apiVersion)
	b.String(fact.K("kind"), fact.Pos{}, kind)
	meta := partial.Get(fact.K("metadata"))
	notes := meta.Get(fact.K("annotations"))
	copyWithout(b, meta, notes)
	b.End()
	return b.Tree().Root()
}

// BuiltIn reports whether the API server serves a kind as protobuf, and this
// package can read it.
func (t *Types) BuiltIn(apiVersion, kind string) bool { return t.lookup(apiVersion, kind) != nil }

// Typed returns an object with apiVersion and kind, which the items of a list
// of a built-in kind leave out in JSON.
func Typed(root fact.Value, apiVersion, kind string) fact.Value {
	if root.Get(fact.K("kind")).Present() {
		return root
	}
	b := &fact.Builder{}
	b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
	b.String(fact.K("kind"), fact.Pos{}, kind)
	b.String(fact.K("apiVersion"), fact.Pos{}, apiVersion)
	for c := range root.Children() {
		if k := c.Key().String(); k != "kind" && k != "apiVersion" {
			b.Copy(c.Key(), c)
		}
	}
	b.End()
	return b.Tree().Root()
}
