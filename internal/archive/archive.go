// Package archive writes snapshots into files and reads them back: the objects
// as trees, without what may be secret in them, and the gaps.
//
// A file is a magic number with the format's version, then blocks, each with its
// length and a checksum, and last a SHA-256 of everything before it. A signature,
// where there is one, is a block before that. A file that was cut, changed or
// lengthened by a byte is refused, and what is read is bounded.
package archive

import (
	"bytes"
	"compress/flate"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/merlon-security/merlon/internal/fact"
)

// magic begins every file; its last byte is the version of the format.
const magic = "MRLNSNAP\x01"

// Begins reports whether the first bytes of a file are those of a snapshot, of
// whatever version.
func Begins(data []byte) bool {
	return len(data) >= len(magic) && string(data[:len(magic)-1]) == magic[:len(magic)-1]
}

// Limits of what is read. No real cluster comes near.
const (
	maxBlock = 64 << 20 // of one block, unpacked
	maxTotal = 8 << 30  // of all blocks, unpacked
)

// blockSize is when a block of objects is full.
const blockSize = 1 << 20

// The kinds of block.
const (
	aboutBlock   = 'A' // About, JSON
	objectsBlock = 'O'
	gapsBlock    = 'G' // JSON
	signedBlock  = 'S' // a signature of the SHA-256 of everything before it
	endBlock     = 'E' // the SHA-256 of everything before it
)

// context is what a signature is for, so that none of another thing passes.
const context = "merlon snapshot v1\n"

// About says what a snapshot is of.
type About struct {
	Merlon  string   `json:"merlon"` // version that wrote it
	Time    string   `json:"time"`   // when it was taken, RFC 3339
	Target  []string `json:"target"`
	Cluster *Cluster `json:"cluster,omitempty"`
	Files   int      `json:"files,omitempty"`
	Objects int      `json:"objects"`
	Gaps    int      `json:"gaps"`
}

// Cluster says which cluster a snapshot was taken of.
type Cluster struct {
	UID     string `json:"uid,omitempty"`
	Server  string `json:"server,omitempty"`
	Version string `json:"version,omitempty"`
	Context string `json:"context,omitempty"`
}

// Write writes a snapshot, hiding what may be secret. key signs it; nil for no
// signature.
func Write(w io.Writer, about About, s *fact.Snapshot, key ed25519.PrivateKey) error {
	about.Objects, about.Gaps = s.Len(), len(s.Gaps())
	out := &writer{w: w, sum: sha256.New()}
	out.raw([]byte(magic))
	head, err := json.Marshal(about)
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	out.block(aboutBlock, head)
	e := newEncoder()
	for _, o := range s.Objects() {
		e.object(o)
		if len(e.buf) >= blockSize {
			out.block(objectsBlock, e.buf)
			e.buf = e.buf[:0]
		}
	}
	out.block(objectsBlock, e.buf)
	gaps, err := json.Marshal(s.Gaps())
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	out.block(gapsBlock, gaps)
	if key != nil {
		out.block(signedBlock, ed25519.Sign(key, append([]byte(context), out.sum.Sum(nil)...)))
	}
	out.block(endBlock, out.sum.Sum(nil))
	if out.err != nil {
		return fmt.Errorf("write snapshot: %w", out.err)
	}
	return nil
}

type writer struct {
	w   io.Writer
	sum hasher
	err error
}

type hasher interface {
	io.Writer
	Sum([]byte) []byte
}

func (w *writer) raw(data []byte) {
	if w.err == nil {
		w.sum.Write(data)
		_, w.err = w.w.Write(data)
	}
}

// block writes its kind, its size, its size packed, a checksum of it packed, and
// then itself.
func (w *writer) block(kind byte, data []byte) {
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err == nil {
		_, err = z.Write(data)
	}
	if err == nil {
		err = z.Close()
	}
	if w.err = errors.Join(w.err, err); w.err != nil {
		return
	}
	if len(data) > maxBlock {
		w.err = fmt.Errorf("an object is larger than %d MB", maxBlock>>20)
		return
	}
	head := make([]byte, headSize)
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(data)))
	binary.BigEndian.PutUint32(head[5:], uint32(packed.Len()))
	binary.BigEndian.PutUint32(head[9:], checksum(head[:9], packed.Bytes()))
	w.raw(head)
	w.raw(packed.Bytes())
}

const headSize = 13

func checksum(head, packed []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(head, table), table, packed)
}

// ErrUnsigned says that a file has no signature, though one was asked for.
var ErrUnsigned = errors.New("the snapshot is not signed")

// Read reads a snapshot. key is who must have signed it; nil for anybody, or
// nobody. A file that is damaged in any way is an error, and so is one whose
// signature is not the key's.
func Read(r io.Reader, key ed25519.PublicKey) (About, *fact.Snapshot, error) {
	in := &reader{r: r, sum: sha256.New(), key: key}
	about, s, err := in.read()
	if err != nil {
		return About{}, nil, fmt.Errorf("read snapshot: %w", err)
	}
	return about, s, nil
}

type reader struct {
	r      io.Reader
	sum    hasher
	key    ed25519.PublicKey
	total  int
	about  About
	told   []fact.Change
	seen   map[byte]bool
	signed bool
}

var errDamaged = errors.New("the file is damaged")

func (r *reader) read() (About, *fact.Snapshot, error) {
	head, err := r.raw(len(magic))
	if err != nil || string(head[:len(magic)-1]) != magic[:len(magic)-1] {
		return About{}, nil, errors.New("not a snapshot of merlon")
	}
	if v := head[len(magic)-1]; v != magic[len(magic)-1] {
		return About{}, nil, fmt.Errorf("format %d is not known: this Merlon reads format %d", v, magic[len(magic)-1])
	}
	d := newDecoder()
	r.seen = map[byte]bool{}
	for {
		before := r.sum.Sum(nil)
		kind, data, err := r.block()
		if err != nil {
			return About{}, nil, err
		}
		if kind == endBlock {
			return r.end(before, data)
		}
		if err := r.take(d, kind, data, before); err != nil {
			return About{}, nil, err
		}
		r.seen[kind] = true
	}
}

// take takes in a block. Blocks stand in their order, and all but those of
// objects once.
func (r *reader) take(d *decoder, kind byte, data, before []byte) error {
	if r.seen[kind] && kind != objectsBlock || r.signed || r.seen[aboutBlock] != (kind != aboutBlock) {
		return fmt.Errorf("%w: a block where none may be", errDamaged)
	}
	switch kind {
	case aboutBlock:
		return plain(json.Unmarshal(data, &r.about))
	case objectsBlock:
		objects, err := d.objects(data)
		for _, o := range objects {
			r.told = append(r.told, fact.Change{Op: fact.Upsert, Object: o})
		}
		return err
	case gapsBlock:
		var gaps []fact.Gap
		err := json.Unmarshal(data, &gaps)
		for _, g := range gaps {
			r.told = append(r.told, fact.Change{Op: fact.GapOpened, Gap: g})
		}
		return plain(err)
	case signedBlock:
		r.signed = true
		if r.key != nil && !ed25519.Verify(r.key, append([]byte(context), before...), data) {
			return errors.New("the signature is not that of the key: another key signed it, or it was changed")
		}
		return nil
	}
	return fmt.Errorf("%w: an unknown block", errDamaged)
}

// plain hides the values that an error of the JSON decoder may quote.
func plain(err error) error {
	if err != nil {
		return fmt.Errorf("%w: a description that cannot be read", errDamaged)
	}
	return nil
}

func (r *reader) end(before, data []byte) (About, *fact.Snapshot, error) {
	if !bytes.Equal(before, data) {
		return About{}, nil, fmt.Errorf("%w: its checksum does not match", errDamaged)
	}
	if n, err := r.r.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return About{}, nil, fmt.Errorf("%w: more follows its end", errDamaged)
	}
	if r.key != nil && !r.signed {
		return About{}, nil, ErrUnsigned
	}
	s := (&fact.Snapshot{}).Apply(r.told...)
	if !r.seen[aboutBlock] || !r.seen[gapsBlock] || s.Len() != r.about.Objects || len(s.Gaps()) != r.about.Gaps {
		return About{}, nil, fmt.Errorf("%w: not all is there", errDamaged)
	}
	return r.about, s, nil
}

func (r *reader) raw(n int) ([]byte, error) {
	// What a damaged length asks for is not allocated before it is there.
	var b bytes.Buffer
	got, err := io.CopyN(&b, r.r, int64(n))
	if err != nil || got != int64(n) {
		return nil, fmt.Errorf("%w: it ends too soon", errDamaged)
	}
	r.sum.Write(b.Bytes())
	return b.Bytes(), nil
}

func (r *reader) block() (byte, []byte, error) {
	head, err := r.raw(headSize)
	if err != nil {
		return 0, nil, err
	}
	size, packed := int(binary.BigEndian.Uint32(head[1:])), int(binary.BigEndian.Uint32(head[5:]))
	if r.total += size; size > maxBlock || packed > maxBlock+maxBlock/8 || r.total > maxTotal {
		return 0, nil, fmt.Errorf("%w: a block of %d bytes", errDamaged, size)
	}
	body, err := r.raw(packed)
	if err != nil {
		return 0, nil, err
	}
	if checksum(head[:9], body) != binary.BigEndian.Uint32(head[9:]) {
		return 0, nil, fmt.Errorf("%w: the checksum of a block does not match", errDamaged)
	}
	var data bytes.Buffer
	z := flate.NewReader(bytes.NewReader(body))
	n, err := io.Copy(&data, io.LimitReader(z, int64(size)+1))
	if err != nil || n != int64(size) {
		return 0, nil, fmt.Errorf("%w: a block cannot be unpacked", errDamaged)
	}
	return head[0], data.Bytes(), nil
}
