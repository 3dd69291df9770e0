package yamldoc

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
)

// Limits bound what one document may cost. A zero field means its default.
type Limits struct {
	Document int // bytes of one document; 32 MiB
	Values   int // values of one document once its aliases are expanded; 2,000,000
}

// Defaults of [Limits]. An object in etcd has at most 1.5 MB; documents beyond
// that are lists that someone dumped.
const (
	defaultDocument = 32 << 20
	defaultValues   = 2_000_000
)

// Document is one document of a file. Its zero value is no document.
type Document struct {
	Root     fact.Value
	Index    int         // number of the document in its file from 0, empty ones not counted
	Line     int         // line on which its first value stands, from 1
	Notes    []fact.Note // comments addressed to Merlon, in order
	Problems []Problem   // what kubectl would refuse although it can be read
}

// Problem is something in a document that kubectl or the API server refuses or
// drops, while the rest of the document can be read. It never holds a value,
// only field names and kinds.
type Problem struct {
	Kind    string // one of the constants below
	Pos     fact.Pos
	Path    string // as fact.Value.Path writes it: a named path could quote a value; "" for the whole document
	Message string
}

// maxProblems bounds the problems told of one document: a hostile one could
// hold a million.
const maxProblems = 100

// Kinds of problems.
const (
	DuplicateKey = "duplicate-key" // the last one wins; strict validation refuses it
	WrongType    = "wrong-type"    // the API server refuses the object
	UnknownField = "unknown-field" // the API server drops it; kubectl refuses it
	BadSeparator = "bad-separator" // kubectl refuses the file
	NotRead      = "not-read"      // kubectl does not read this part of the file
)

// Error is a document that could not be read, or input that could not be read
// on. Message names causes and never quotes what was read.
type Error struct {
	Kind    string // one of the constants below
	File    string
	Line    int // from 1; the place of the cause, or of the document's start
	Column  int // in bytes from 1; 0 when only the line is known
	Message string
	Err     error // the reader's error where Kind is Unreadable
}

// Kinds of errors; they are kinds of gaps too.
const (
	InvalidYAML = "invalid-yaml"
	InvalidJSON = "invalid-json"
	TooLarge    = "too-large"
	TooDeep     = "too-deep"
	AliasBomb   = "alias-bomb"
	Binary      = "binary"
	BadEncoding = "bad-encoding"
	Unreadable  = "unreadable"
)

func (e *Error) Error() string {
	place := e.File
	if e.Line > 0 {
		place = fmt.Sprintf("%s:%d", place, e.Line)
		if e.Column > 0 {
			place = fmt.Sprintf("%s:%d", place, e.Column)
		}
	}
	return place + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// Reader yields the documents of one file. It holds one document at a time and
// is not safe for concurrent use; [Reader.Reset] lets one serve many files.
type Reader struct {
	name    string
	limits  Limits
	in      splitter
	yaml    converter
	simple  simple
	json    jsonScanner
	index   int
	carried []fact.Note // of documents without a value, for the next one
	done    bool
	from    int // offset in the file of the part read last

	// For tests, which compare the parser's reading with the short cut's.
	parserOnly    bool
	short, parsed int // documents read by either
}

// NewReader reads documents from r; name stands in errors. It tells YAML from
// JSON by the content, as kubectl does.
func NewReader(r io.Reader, name string, limits Limits) *Reader {
	x := &Reader{}
	x.limits = limits
	if x.limits.Document <= 0 {
		x.limits.Document = defaultDocument
	}
	if x.limits.Values <= 0 {
		x.limits.Values = defaultValues
	}
	x.yaml.b.Positions, x.json.b, x.simple.b = true, &x.yaml.b, &x.yaml.b
	x.yaml.limits = x.limits
	x.Reset(r, name)
	return x
}

// Reset makes the reader read another file, keeping its buffers and limits.
func (x *Reader) Reset(r io.Reader, name string) {
	x.name, x.index, x.done = name, 0, false
	x.carried = x.carried[:0]
	x.in.reset(r, x.limits.Document)
}

// Next returns the next document, io.EOF after the last one, or an *[Error].
// After an error of a document Next goes on with the document after it; after
// one of the input it returns io.EOF.
func (x *Reader) Next() (Document, error) {
	for !x.done {
		doc, ok, err := x.next()
		if err != nil {
			return Document{}, x.fail(err)
		}
		if ok {
			doc.Index = x.index
			x.index++
			return doc, nil
		}
	}
	return Document{}, io.EOF
}

// fail gives an error its file and ends the reading where it cannot go on.
func (x *Reader) fail(err error) error {
	e := &Error{}
	if !errors.As(err, &e) {
		e = &Error{Kind: Unreadable, Line: x.in.line, Message: "the input could not be read: " + err.Error(), Err: err}
	}
	if e.Kind == Unreadable || e.Kind == Binary {
		x.done = true
	}
	e.File = x.name
	return e
}

// next reads one part of the input; it reports false when that held no value.
func (x *Reader) next() (doc Document, ok bool, err error) {
	x.from = x.in.offset
	p, err := x.in.next(true)
	if err == io.EOF {
		x.done = true
		return Document{}, false, nil
	}
	if err != nil {
		return Document{}, false, err
	}
	if p.json < 0 {
		return x.readYAML(p)
	}
	doc, broken := x.readJSON(p)
	if broken == nil {
		return doc, true, nil
	}
	if broken.Kind != InvalidJSON {
		x.in.skipJSON(p.json)
		return Document{}, false, &broken.Error
	}
	// Like kubectl: what is not JSON may still be YAML in flow style. When it is
	// neither, JSON's error is the better one if the text looks like JSON.
	if p, err = x.in.next(false); err != nil {
		return Document{}, false, err
	}
	if broken.looksLikeJSON {
		p.text = p.text[:nextJSON(p.text, broken.offset)]
	}
	doc, ok, err = x.readYAML(p)
	if err != nil && broken.looksLikeJSON {
		err = &broken.Error
	}
	return doc, ok, err
}

// nextJSON returns where, after a broken JSON value, the next one of a stream
// may begin: a brace in the first column.
func nextJSON(text []byte, from int) int {
	if i := bytes.Index(text[min(from, len(text)):], []byte("\n{")); i >= 0 {
		return min(from, len(text)) + i + 1
	}
	return len(text)
}

// readJSON reads the JSON value at p.json, taking in more input until it is
// complete.
func (x *Reader) readJSON(p part) (Document, *jsonError) {
	for {
		w := x.in.window()
		x.yaml.start(p, nil)
		end, broken := x.json.scan(w, p.json, x.in.line, x.in.column, x.limits.Values)
		switch {
		case broken != nil && broken.atEnd && !x.in.atEOF():
			if len(w) > x.limits.Document {
				line, column := p.placeOf(w[:p.json])
				broken.Error = Error{Kind: TooLarge, Line: line, Column: column, Message: tooLarge(x.limits.Document)}
				x.yaml.b.Reset()
				return Document{}, broken
			}
			x.in.more()
			x.yaml.b.Reset()
			continue
		case broken != nil:
			x.yaml.b.Reset()
			return Document{}, broken
		}
		if x.json.doubled {
			tree := x.yaml.b.Tree()
			withoutDuplicates(&x.yaml.b, fact.Key{}, tree.Root())
		}
		doc := x.document(x.json.problems)
		doc.Notes = x.notes(p, w[:p.json], nil, doc)
		x.in.consume(end)
		return doc, nil
	}
}

// readYAML reads a part as one YAML document and consumes it.
func (x *Reader) readYAML(p part) (doc Document, ok bool, err error) {
	defer x.in.consume(len(p.text))
	if p.binary {
		return Document{}, false, &Error{Kind: Binary, Line: p.line + bytes.Count(p.text, []byte{'\n'}), Message: "the file is binary: it holds a NUL byte"}
	}
	if !p.content && !p.directive {
		if at := badByte(p.text); at >= 0 {
			return Document{}, false, parseError(p, errBadByte)
		}
		x.carry(p)
		return Document{}, false, nil
	}
	if !x.parserOnly && x.simple.read(p, x.limits) {
		x.short++
		doc = x.document(nil)
		doc.Notes = x.notes(p, p.text, x.simple.spans, doc)
	} else if doc, ok, err = x.parseYAML(p); !ok || err != nil {
		return Document{}, false, err
	}
	if p.inline {
		doc.problem(BadSeparator, "content stands on the separator line: kubectl refuses the file")
	}
	if p.directive {
		doc.problem(BadSeparator, "the document begins with a directive: kubectl refuses the file")
	}
	if p.unread {
		doc.problem(NotRead, "kubectl does not read what follows a line of three dots without a separator line")
	}
	return doc, true, nil
}

// parseYAML reads a part through the parser, which knows all of YAML.
func (x *Reader) parseYAML(p part) (doc Document, ok bool, err error) {
	node, err := x.parse(p)
	if err != nil {
		return Document{}, false, err
	}
	x.yaml.start(p, p.text)
	if ok, err := x.yaml.convert(node); !ok || err != nil {
		x.yaml.b.Reset()
		return Document{}, false, err
	}
	doc = x.document(x.yaml.problems)
	x.parsed++
	doc.Notes = x.notes(p, p.text, scalarSpans(p.text, node), doc)
	return doc, true, nil
}

// document takes the tree out of the builder.
func (x *Reader) document(problems []Problem) Document {
	d := Document{Root: x.yaml.b.Tree().Root()}
	d.Line = int(d.Root.Pos().Line)
	if len(problems) > 0 {
		d.Problems = append([]Problem(nil), problems...)
		slices.SortStableFunc(d.Problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column))
		})
		for i := range d.Problems {
			if v := valueAt(d.Root, d.Problems[i].Pos); v.Present() {
				d.Problems[i].Path = v.Path()
			}
		}
	}
	return d
}

// valueAt returns the entry of a map that stands at a place.
func valueAt(v fact.Value, at fact.Pos) fact.Value {
	for c := range v.Children() {
		if v.Kind() == fact.Map && c.Pos() == at {
			return c
		}
		if found := valueAt(c, at); found.Present() {
			return found
		}
	}
	return fact.Value{}
}

func (d *Document) problem(kind, message string) {
	d.Problems = append(d.Problems, Problem{Kind: kind, Pos: d.Root.Pos(), Message: message})
}
