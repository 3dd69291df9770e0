package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A frame is one byte that says what it is, four bytes of length, and JSON.
const (
	frameJob    = 'j' // parent: what to do
	frameAnswer = 'a' // parent: what a question found
	frameAsk    = 'q' // child: give me a file, or the names in a folder
	frameResult = 'r' // child: done
)

// maxFrame is how large a frame may be. The largest is what a chart renders to;
// an object in a cluster has at most 1.5 MB.
const maxFrame = 128 << 20

// errFrame is what a frame that is none gives.
var errFrame = errors.New("the frame is broken")

type job struct {
	Name  string
	Input json.RawMessage
}

type ask struct {
	Op   string // "read" or "list"
	Name string
}

type answer struct {
	Data    []byte  `json:",omitempty"`
	Entries []Entry `json:",omitempty"`
	Missing bool    `json:",omitempty"`
	Error   string  `json:",omitempty"`
}

type result struct {
	Output json.RawMessage `json:",omitempty"`
	Error  string          `json:",omitempty"`
}

func writeFrame(w io.Writer, kind byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	if len(data) > maxFrame {
		return fmt.Errorf("write frame: larger than %d MiB", maxFrame>>20)
	}
	head := [5]byte{kind}
	binary.BigEndian.PutUint32(head[1:], uint32(len(data)))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// readFrame reads a frame of one of some kinds. It allocates as the bytes come,
// not as the length promises.
func readFrame(r io.Reader, kinds string) (kind byte, data []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	known := false
	for i := range len(kinds) {
		known = known || kinds[i] == head[0]
	}
	if !known || n > maxFrame {
		return 0, nil, errFrame
	}
	data, err = io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(data) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	return head[0], data, err
}
