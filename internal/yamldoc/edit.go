package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/merlon-security/merlon/internal/fact"
)

// Edit makes edits in one document of a file, numbered from 0; see [EditAll].
func Edit(data []byte, doc int, edits []fact.Edit) ([]byte, error) {
	return EditAll(data, map[int][]fact.Edit{doc: edits})
}

// EditAll makes edits in documents of a file, numbered from 0, and leaves every
// byte as it was that they do not ask to change: comments, order, spacing,
// indentation, line breaks. Missing parents are written in the style of the
// document.
//
// The place is found by the positions of the YAML parser, the text is spliced,
// and the result is read again: it must be exactly the trees that the edits mean,
// and every other document of the file what it was. Else nothing is changed and
// the error says why; it quotes nothing that was read.
func EditAll(data []byte, edits map[int][]fact.Edit) ([]byte, error) {
	if isUTF16(data) {
		return nil, errors.New("the file is UTF-16, which is not edited")
	}
	before := locate(data)
	wanted := make([]fact.Value, len(before))
	var out []byte
	at, met := 0, 0
	for i := range before {
		d := &before[i]
		list, named := edits[d.doc.Index]
		if d.err != nil || !named {
			continue
		}
		met++
		edited, want, err := editDocument(data[d.from:d.to], d.doc.Root, list)
		if err != nil {
			return nil, err
		}
		wanted[i] = want
		out = append(append(out, data[at:d.from]...), edited...)
		at = d.to
	}
	if met < len(edits) {
		return nil, errors.New("the file has no such document")
	}
	out = append(out, data[at:]...)
	if err := asWanted(before, locate(out), wanted); err != nil {
		return nil, err
	}
	return out, nil
}

// editDocument makes edits in the text of one document, and returns the tree that
// they mean too.
func editDocument(text []byte, root fact.Value, edits []fact.Edit) ([]byte, fact.Value, error) {
	want := root
	for _, e := range edits {
		var err error
		if want, err = e.Apply(want); err != nil {
			return nil, want, err
		}
	}
	if fact.Equal(want, root) {
		return text, want, nil
	}
	// Where a value is shared by an anchor, all its places may be meant: then
	// the anchor's value is edited. Else the alias is replaced by what it stands
	// for.
	modes := []bool{false}
	if bytes.IndexByte(text, '*') >= 0 {
		modes = []bool{true, false}
	}
	var failure error
	for _, shared := range modes {
		edited, err := editText(text, edits, shared)
		if err == nil {
			doc, broken := NewReader(bytes.NewReader(edited), "", Limits{}).Next()
			if broken == nil && fact.Equal(doc.Root, want) {
				return edited, want, nil
			}
			err = errChangesMore
		}
		failure = err
	}
	return nil, want, failure
}

var errChangesMore = errors.New("the edit would change more than it means to: an anchor, or an odd place")

// located is one document of a file, or the error that stands in its place, and
// its text: data[from:to].
type located struct {
	doc      Document
	err      error
	from, to int
}

func locate(data []byte) []located {
	var out []located
	x := NewReader(bytes.NewReader(data), "", Limits{})
	for {
		doc, err := x.Next()
		if err == io.EOF {
			return out
		}
		out = append(out, located{doc, err, x.from, x.in.offset})
	}
}

// asWanted holds that the documents that were to change are as wanted, and all
// others what they were.
func asWanted(before, after []located, wanted []fact.Value) error {
	if len(before) != len(after) {
		return errors.New("the edit would change how the file falls into documents")
	}
	for i := range before {
		b, a := &before[i], &after[i]
		if (b.err == nil) != (a.err == nil) {
			return errors.New("the edit would make the file unreadable")
		}
		want := wanted[i]
		if !want.Present() {
			want = b.doc.Root
		}
		if b.err == nil && (!fact.Equal(a.doc.Root, want) || len(a.doc.Problems) > len(b.doc.Problems)) {
			return errChangesMore
		}
	}
	return nil
}

// editText makes the edits in the text of one document, one after the other.
func editText(text []byte, edits []fact.Edit, shared bool) ([]byte, error) {
	for _, e := range edits {
		d, err := newEditor(text, shared)
		if err != nil {
			return nil, err
		}
		want, err := e.Apply(d.tree)
		if err != nil {
			return nil, err
		}
		if fact.Equal(want, d.tree) {
			continue
		}
		if text, err = d.make(e, want); err != nil {
			return nil, fmt.Errorf("%s: %w", fact.PathText(e.Path), err)
		}
	}
	return text, nil
}

// editor edits one document once.
type editor struct {
	text   []byte
	tree   fact.Value
	root   *yaml.Node
	places placer
	shared bool // an alias is edited at its anchor
	style  style
}

func newEditor(text []byte, shared bool) (*editor, error) {
	x := NewReader(bytes.NewReader(text), "", Limits{})
	doc, err := x.Next()
	if err != nil {
		return nil, errors.New("the document cannot be read on its own")
	}
	d := &editor{text: text, tree: doc.Root, shared: shared}
	d.places.read(text)
	node, err := x.parse(part{text: plainJSON(text), line: 1, first: 1})
	if err != nil || len(node.Content) == 0 {
		return nil, errors.New("the YAML parser does not give the places of the document")
	}
	d.root = node.Content[0]
	d.style = d.styleOf()
	return d, nil
}

// plainJSON replaces what JSON allows and the YAML parser does not by as many
// other bytes, in a text that begins with a brace: tabs for indentation, and
// halves of surrogate pairs. Only places are read from the result.
func plainJSON(text []byte) []byte {
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return text
	}
	out := bytes.ReplaceAll(text, []byte{'\t'}, []byte{' '})
	for i := 0; i+6 <= len(out); i++ {
		if out[i] == '\\' && out[i+1] == 'u' && (out[i+2] == 'd' || out[i+2] == 'D') && out[i+3] >= '8' {
			copy(out[i:], "......")
		} else if out[i] == '\\' {
			i++
		}
	}
	return out
}

// splice is a stretch of the text and what takes its place.
type splice struct {
	from, to int
	text     string
}

// make returns the text with one edit made. There may be several ways to write
// it; the first that reads as the tree wanted is taken.
func (d *editor) make(e fact.Edit, want fact.Value) ([]byte, error) {
	ways, err := d.ways(e, want)
	if err != nil {
		return nil, err
	}
	for _, way := range ways {
		out := d.spliced(way)
		doc, err := NewReader(bytes.NewReader(out), "", Limits{}).Next()
		if err != nil {
			continue
		}
		if fact.Equal(doc.Root, want) {
			return out, nil
		}
		// Through an anchor other places change too, which is judged at the end.
		if again, err := e.Apply(doc.Root); d.shared && err == nil && fact.Equal(again, doc.Root) {
			return out, nil
		}
	}
	return nil, errors.New("there is no way to write the edit that leaves all else as it is")
}

func (d *editor) spliced(way []splice) []byte {
	slices.SortStableFunc(way, func(a, b splice) int { return a.from - b.from })
	var out []byte
	at := 0
	for _, s := range way {
		if s.from < at || s.to < s.from || s.to > len(d.text) {
			return nil
		}
		out = append(append(out, d.text[at:s.from]...), s.text...)
		at = s.to
	}
	return append(out, d.text[at:]...)
}

// ways returns how the edit can be written.
func (d *editor) ways(e fact.Edit, want fact.Value) ([][]splice, error) {
	s, done, err := d.find(e.Path)
	if err != nil {
		return nil, err
	}
	if s.override { // what lies behind an alias gets a value of its own
		if e.Op == fact.Remove && done == len(e.Path) {
			return nil, errors.New("the field comes from a merge key and can only be removed there")
		}
		value := want.Follow(e.Path[:done])
		if s.merged {
			return d.addEntry(s.node, e.Path[done-1].Field, value, s.flow)
		}
		return d.replace(s, value)
	}
	if done < len(e.Path) {
		if d.isNull(s.node) {
			return d.replace(s, want.Follow(e.Path[:done]))
		}
		return d.addEntry(s.node, e.Path[done].Field, want.Follow(e.Path[:done+1]), s.flow)
	}
	switch {
	case e.Op == fact.Remove:
		return d.remove(s)
	case e.Op == fact.AddToList && s.node.Kind == yaml.SequenceNode && len(s.node.Content) > 0:
		return d.addElement(s, e.Value)
	}
	return d.replace(s, want.Follow(e.Path))
}
