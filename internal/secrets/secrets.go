// Package secrets finds secret-looking material in text and in named values,
// and holds the only forms in which such material may be printed.
//
// It judges text alone: nothing is decoded but base64, nothing is looked up,
// and no credential is ever tried. What is found is therefore "looks like",
// never "is". The work is linear in the length of the input.
//
// Three questions are asked, in this order of confidence:
//
//   - does it have a published format of its own (tokens.go)?
//   - is it carried under a name that says secret (names.go), and is it then
//     a literal that can be one (values.go)?
//   - does the text around it say so: a URL, a flag, a command, a header
//     (scan.go, assign.go, command.go)?
package secrets

import "strings"

// Match is one piece of secret-looking material inside a text. Start and End
// are byte offsets, 0 <= Start < End <= len(text). A Match holds no part of the
// text and may be kept and printed.
type Match struct {
	Kind       string // what it looks like: "aws-access-key-id", "private-key", "password-assignment"
	Start, End int
}

// Detector finds secrets. It is made by New, immutable afterwards and safe for
// concurrent use; the zero value finds nothing in Text.
type Detector struct {
	class   [256]byteClass   // what a byte can start or continue
	pairs   [128 * 128]uint8 // first two bytes of a word -> bucket, 0 for none
	buckets [][]literal      // literals by their first two bytes
}

// New returns a ready Detector. It costs some 50 microseconds.
func New() *Detector {
	d := &Detector{}
	for c := range d.class {
		d.class[c] = classOf(byte(c))
	}
	d.buckets = make([][]literal, 1, len(literals)+len(commands)+1)
	for _, l := range literals {
		d.index(l)
	}
	for _, c := range commands {
		d.index(literal{prefix: c.name, form: formCommand})
	}
	d.index(literal{prefix: hiddenSecret, form: formHidden})
	for _, w := range [...]string{"Bearer", "bearer"} {
		d.index(literal{prefix: w, form: formCommand})
	}
	return d
}

func (d *Detector) index(l literal) {
	n := &d.pairs[pairOf(l.prefix[0], l.prefix[1])]
	if *n == 0 {
		*n = uint8(len(d.buckets))
		d.buckets = append(d.buckets, nil)
	}
	d.buckets[*n] = append(d.buckets[*n], l)
}

// literalsAt returns the literals that may start a word of these two bytes.
func (d *Detector) literalsAt(a, b byte) []literal {
	if a|b >= 128 || len(d.buckets) == 0 {
		return nil
	}
	return d.buckets[d.pairs[pairOf(a, b)]]
}

func pairOf(a, b byte) int { return int(a)<<7 | int(b) }

// Text returns the secret-looking material in free text (an argument, a
// script, a whole configuration file) in order and without overlap. A base64
// run whose decoded text holds a secret is one Match of that secret's kind.
func (d *Detector) Text(s string) []Match {
	sc := scan{d: d, s: s}
	sc.run()
	return sc.out
}

// Named judges a value carried under a name: an environment variable, a
// ConfigMap key, a Helm value. Either the name says secret and the value is a
// literal that can be one, or the value matches Text by itself; the first
// Match is returned, its offsets inside value.
func (d *Detector) Named(name, value string) (Match, bool) {
	if strings.HasPrefix(value, hiddenText) {
		return Match{}, false
	}
	if n := nameSays(name); n.strength != none {
		start, end := trimLiteral(value)
		if start < end && plausible(n, value[start:end], false) {
			m := Match{Kind: n.kind, Start: start, End: end}
			if start, end, ok := shellDefault(value[start:end]); ok {
				m.Start, m.End = m.Start+start, m.Start+end
			}
			sc := scan{d: d, s: value}
			if kind, end := sc.formatAt(m.Start); end == m.End {
				m.Kind = kind
			} else if i := strings.Index(value, "PRIVATE KEY"); i >= 0 && i < 64 {
				m.Kind = kindPrivateKey
			}
			return m, true
		}
		if start, end := trimLiteral(value); n.conn && start < end {
			if from, to, ok := userinfo(value[start:end]); ok {
				return Match{Kind: "connection-string", Start: start + from, End: start + to}, true
			}
		}
	}
	if len(value) < shortestSecret {
		return Match{}, false
	}
	sc := scan{d: d, s: value, first: true}
	sc.run()
	if len(sc.out) == 0 {
		return Match{}, false
	}
	return sc.out[0], true
}

// shortestSecret is the length below which no text can hold a secret of its
// own: "-p x", "pwd=hi".
const shortestSecret = 6

// ArgMatch is a Match inside one element of an argument vector.
type ArgMatch struct {
	Arg int // index into the vector
	Match
}

// Args returns the secret-looking material in an argument vector (command
// followed by args). Beside Text of every element it knows flags whose value
// is the next element: "--token", "x".
func (d *Detector) Args(argv []string) []ArgMatch {
	var out []ArgMatch
	taken := -1 // element judged as the value of the flag before it
	for i, arg := range argv {
		if i == taken {
			continue
		}
		for _, m := range d.Text(arg) {
			out = append(out, ArgMatch{i, m})
		}
		if i+1 == len(argv) {
			break
		}
		if kind, ok := flagTakes(arg, argv[i+1]); ok {
			kind, start, end := d.refine(kind, argv[i+1])
			out = append(out, ArgMatch{i + 1, Match{kind, start, end}})
			taken = i + 1
		}
	}
	return d.commandArgs(argv, out)
}

// refine gives the kind of a whole value known to be secret: its own format
// where it has one.
func (d *Detector) refine(kind, value string) (string, int, int) {
	start, end := trimLiteral(value)
	sc := scan{d: d, s: value}
	if format, to := sc.formatAt(start); to == end {
		kind = format
	}
	return kind, start, end
}
