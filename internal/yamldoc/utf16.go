package yamldoc

import (
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// utf16Reader turns UTF-16 with a byte order mark into UTF-8. Halves of pairs
// that stand alone become U+FFFD.
type utf16Reader struct {
	r      io.Reader
	in     [4096]byte
	n      int // bytes in in
	out    []byte
	little bool
	begun  bool
	err    error
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		n, err := u.r.Read(u.in[u.n:])
		u.n, u.err = u.n+n, err
		u.convert()
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

// convert decodes what is whole in in and keeps the rest.
func (u *utf16Reader) convert() {
	i := 0
	u.out = u.out[:0]
	for i+1 < u.n {
		c := u.unit(i)
		if !u.begun {
			u.begun, u.little = true, u.in[0] == 0xFF
			i += 2
			continue
		}
		if !utf16.IsSurrogate(c) {
			u.out = utf8.AppendRune(u.out, c)
			i += 2
			continue
		}
		if i+3 >= u.n && u.err == nil {
			break
		}
		r, size := rune(utf8.RuneError), 2
		if i+3 < u.n {
			if d := utf16.DecodeRune(c, u.unit(i+2)); d != utf8.RuneError {
				r, size = d, 4
			}
		}
		u.out = utf8.AppendRune(u.out, r)
		i += size
	}
	u.n = copy(u.in[:], u.in[i:u.n])
}

func (u *utf16Reader) unit(i int) rune {
	if u.little {
		return rune(u.in[i]) | rune(u.in[i+1])<<8
	}
	return rune(u.in[i])<<8 | rune(u.in[i+1])
}
