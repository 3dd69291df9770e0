package yamldoc

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/merlon-security/merlon/internal/fact"
)

// scalar is what a scalar of a document means, in JSON's terms.
type scalar struct {
	kind fact.Kind // Null, Bool, Int, Float or String
	b    bool
	i    int64
	f    float64
	s    string
	big  bool   // an integer above int64: refused as a key
	real bool   // written as a float, although it may be kept as an integer
	why  string // not empty: refused, with the cause
}

// resolvePlain says what a plain scalar without a tag means to
// go.yaml.in/yaml/v2, function resolve. Most scalars are recognised as strings
// by their first byte.
func resolvePlain(s string) scalar {
	if s == "" {
		return scalar{kind: fact.Null}
	}
	switch c := s[0]; {
	case c >= '0' && c <= '9', c == '+', c == '-':
		if v, ok := word(s); ok {
			return v
		}
		return resolveNumber(s)
	case c == '.':
		if v, ok := word(s); ok {
			return v
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return floatScalar(f)
		}
	case len(s) <= 5 && strings.IndexByte("yYnNtTfFoO~", c) >= 0:
		if v, ok := word(s); ok {
			return v
		}
	}
	return scalar{kind: fact.String, s: s}
}

// word looks a scalar up in the table of YAML 1.1 words.
func word(s string) (scalar, bool) {
	switch s {
	case "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return scalar{kind: fact.Bool, b: true}, true
	case "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		return scalar{kind: fact.Bool}, true
	case "~", "null", "Null", "NULL":
		return scalar{kind: fact.Null}, true
	case ".nan", ".NaN", ".NAN":
		return floatScalar(math.NaN()), true
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF":
		return floatScalar(math.Inf(1)), true
	case "-.inf", "-.Inf", "-.INF":
		return floatScalar(math.Inf(-1)), true
	}
	return scalar{}, false
}

// resolveNumber reads what begins with a digit or a sign: integers in Go's
// notations (0777 and 0o777 are octal), 0b with a sign, decimal floats;
// underscores are dropped. Sexagesimal numbers and dates stay strings.
func resolveNumber(s string) scalar {
	plain := s
	if strings.IndexByte(s, '_') >= 0 {
		plain = strings.ReplaceAll(s, "_", "")
	}
	if mayBeInt(plain) {
		if i, err := strconv.ParseInt(plain, 0, 64); err == nil {
			return scalar{kind: fact.Int, i: i}
		}
		if u, err := strconv.ParseUint(plain, 0, 64); err == nil {
			return scalar{kind: fact.Float, f: float64(u), big: true}
		}
	}
	if isDecimal(plain) {
		if f, err := strconv.ParseFloat(plain, 64); err == nil {
			return floatScalar(f)
		}
	}
	// Go's ParseInt knows 0b but not a sign behind it, which v2 lets pass.
	if digits, ok := strings.CutPrefix(plain, "0b"); ok {
		if i, err := strconv.ParseInt(digits, 2, 64); err == nil {
			return scalar{kind: fact.Int, i: i}
		}
	} else if digits, ok := strings.CutPrefix(plain, "-0b"); ok {
		if i, err := strconv.ParseInt("-"+digits, 2, 64); err == nil {
			return scalar{kind: fact.Int, i: i}
		}
	}
	return scalar{kind: fact.String, s: s}
}

// mayBeInt spares the parsers, whose errors allocate, what cannot be a number:
// dates, addresses, quantities.
func mayBeInt(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' || c|0x20 == 'x' || c|0x20 == 'o' || (c == '+' || c == '-') && i == 0) {
			return false
		}
	}
	return true
}

// isDecimal matches ^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$
func isDecimal(s string) bool {
	i := 0
	digits := func() int {
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i - from
	}
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	whole, part := digits(), 0
	if i < len(s) && s[i] == '.' {
		i++
		part = digits()
	}
	if whole == 0 && part == 0 {
		return false
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if digits() == 0 {
			return false
		}
	}
	return i == len(s)
}

// floatScalar says what a float becomes on its way through JSON: encoding/json
// writes one below 1e21 without a fraction as an integer, and so the API server
// reads it as one.
func floatScalar(f float64) scalar {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return scalar{kind: fact.Float, f: f, real: true, why: "infinity and not-a-number cannot be written in JSON"}
	case f != math.Trunc(f) || f >= 1<<63 || f < -1<<63:
		return scalar{kind: fact.Float, f: f, real: true}
	case f > -1<<53 && f < 1<<53:
		return scalar{kind: fact.Int, i: int64(f), f: f, real: true}
	}
	// JSON carries the shortest digits that mean f, which need not be f.
	if i, err := strconv.ParseInt(strconv.FormatFloat(f, 'f', -1, 64), 10, 64); err == nil {
		return scalar{kind: fact.Int, i: i, f: f, real: true}
	}
	return scalar{kind: fact.Float, f: f, real: true}
}

// resolveTagged says what a scalar with a tag means, quoted or not; the tag in
// its short form.
func resolveTagged(tag, s string) scalar {
	const wrong = "the value does not fit its tag"
	switch tag {
	case "!!str":
		return scalar{kind: fact.String, s: s}
	case "!!binary":
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return scalar{why: "a !!binary value is not base64"}
		}
		return scalar{kind: fact.String, s: validUTF8(string(raw))}
	case "!!bool", "!!int", "!!float", "!!null", "!!timestamp":
	default:
		return scalar{kind: fact.String, s: s}
	}
	if tag == "!!timestamp" {
		if isTimestamp(s) {
			return scalar{kind: fact.String, s: s}
		}
		return scalar{why: wrong}
	}
	v := resolvePlain(s)
	ok := false
	switch tag {
	case "!!bool":
		ok = v.kind == fact.Bool
	case "!!null":
		ok = v.kind == fact.Null
	case "!!int":
		ok = v.kind == fact.Int && !v.real || v.big
	case "!!float":
		if v.kind == fact.Int && !v.real {
			v = floatScalar(float64(v.i))
		}
		ok = v.real
	}
	if !ok {
		return scalar{why: wrong}
	}
	return v
}

// keyText returns the text that a scalar has as a key of a map, as
// sigs.k8s.io/yaml converts it, or why it cannot be one.
func (v *scalar) keyText() (text, why string) {
	switch {
	case v.why != "" && !v.real:
		return "", v.why
	case v.kind == fact.String:
		return v.s, ""
	case v.kind == fact.Bool:
		return strconv.FormatBool(v.b), ""
	case v.real:
		switch {
		case math.IsNaN(v.f):
			return ".nan", ""
		case math.IsInf(v.f, 1):
			return ".inf", ""
		case math.IsInf(v.f, -1):
			return "-.inf", ""
		}
		return strconv.FormatFloat(v.f, 'g', -1, 32), ""
	case v.kind == fact.Int:
		return strconv.FormatInt(v.i, 10), ""
	case v.kind == fact.Null:
		return "", "a key is null"
	}
	return "", "a key is an integer above 64 bits"
}

// validUTF8 replaces every byte that is no UTF-8 by U+FFFD, as encoding/json
// does.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// isTimestamp reports whether v2 takes s for a timestamp. Only a value tagged
// so needs to know: without the tag a timestamp is a string anyway.
func isTimestamp(s string) bool {
	n := func(least, most, low, high int) bool {
		i, v := 0, 0
		for i < len(s) && i < most && s[i] >= '0' && s[i] <= '9' {
			v = v*10 + int(s[i]-'0')
			i++
		}
		s = s[i:]
		return i >= least && v >= low && v <= high
	}
	is := func(c string) bool {
		if s == "" || strings.IndexByte(c, s[0]) < 0 {
			return false
		}
		s = s[1:]
		return true
	}
	// Days are not held against their month: a date that does not exist is let
	// through as the string it is, too.
	if !n(4, 4, 0, 9999) || !is("-") || !n(1, 2, 1, 12) || !is("-") || !n(1, 2, 1, 31) {
		return false
	}
	if s == "" {
		return true
	}
	zoned := s[0] != ' '
	if !is("Tt ") || !n(1, 2, 0, 23) || !is(":") || !n(1, 2, 0, 59) || !is(":") || !n(1, 2, 0, 59) {
		return false
	}
	if is(".,") && !n(1, 1<<20, 0, math.MaxInt) {
		return false
	}
	if !zoned || is("Z") {
		return s == ""
	}
	return is("+-") && n(2, 2, 0, 24) && is(":") && n(2, 2, 0, 60) && s == ""
}
