package control

import (
	"strings"
	"unicode/utf8"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/secrets"
)

// maxShown is how many bytes of a value evidence shows.
const maxShown = 160

// shower decides in which form a value may leave Merlon. Values of fields that
// people put secrets into are shown by their form only; all others, unless
// they look like a secret.
type shower struct{ detector *secrets.Detector }

// sensitive reports whether people put secrets where v lies: environment
// values, command lines, data of Secrets and ConfigMaps, annotations.
func sensitive(v fact.Value) (secret, command bool) {
	path := v.Path()
	switch {
	case strings.Contains(path, "annotations"), strings.HasPrefix(path, "data"), strings.HasPrefix(path, "stringData"), strings.HasPrefix(path, "binaryData"):
		return true, false
	case strings.Contains(path, ".env[") && !strings.HasSuffix(path, ".name") && !strings.Contains(path, ".valueFrom."), strings.HasSuffix(path, ".env"):
		return true, false
	case strings.Contains(path, "command"), strings.Contains(path, "args"), strings.Contains(path, "script"):
		return false, true
	}
	return false, false
}

// shown returns text, which was read from node, in the form that may be
// printed.
func (s shower) shown(node fact.Value, text string, redact bool) string {
	switch k := node.Kind(); {
	case k == fact.Map, k == fact.Bool, k == fact.Int && !redact:
		return text
	case redact:
		return secrets.Redact(text)
	case k != fact.Absent:
		secret, command := sensitive(node)
		if secret {
			return secrets.Redact(text)
		}
		if command {
			return clip(s.detector.RedactText(text))
		}
	}
	return s.clean(clip(text))
}

// clean replaces what looks like a secret in a text of Merlon's own.
func (s shower) clean(text string) string {
	for _, m := range s.detector.Text(text) {
		return secrets.Redact(text[:m.End])
	}
	return text
}

func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	cut := maxShown
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
