package archive

import (
	"regexp"
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/secrets"
)

// hider replaces what may be secret in an object by its form: the kind that it
// looks like and its length. The detector of secrets finds in the result what it
// found before, so that controls do.
//
// Hidden are the values of Secrets, all of them; of annotations, ConfigMaps,
// environment variables, Helm values and the like what is secret by its name or
// its looks; elsewhere what is by its looks.
type hider struct {
	detector  *secrets.Detector
	reference *regexp.Regexp
}

// newHider knows how the values of Secrets begin that are filled in by others:
// plainly or in base64, `<path:`, `vault:`, `ref+`, `${`, `$(`, `{{`, SOPS. The
// beginning is kept.
func newHider() *hider {
	return &hider{secrets.New(), regexp.MustCompile(`^(PHBhdGg6|dmF1bHQ6|cmVmK[w-z]|JH[s-v]|JC[g-j]|e3[s-v]|ENC\[|<|\{\{|\$[({]|vault:|ref\+)`)}
}

// where says how values are looked at.
type where uint8

const (
	elsewhere where = iota
	named           // people put secrets here: their names say so
	settings        // values of a Secret in which Argo CD keeps a repository or a cluster
	sealed          // nothing of a value is kept
)

// object returns the tree of an object without what may be secret.
func (h *hider) object(o *fact.Object) fact.Value {
	b := &fact.Builder{Positions: o.Root.Pos() != fact.Pos{}}
	b.Begin(fact.Key{}, o.Root.Pos(), fact.Map)
	for c := range o.Root.Children() {
		w := elsewhere
		if o.GroupKind() == "Secret" && (c.Key().String() == "data" || c.Key().String() == "stringData") {
			if w = sealed; o.Root.At("metadata", "labels", "argocd.argoproj.io/secret-type").Present() {
				w = settings
			}
		}
		h.copy(b, c, w)
	}
	b.End()
	return b.Tree().Root()
}

// copy adds a value of a map or list.
func (h *hider) copy(b *fact.Builder, v fact.Value, w where) {
	key := v.Key().String()
	switch key {
	case "annotations", "data", "stringData", "binaryData", "values", "valuesObject", "parameters", "env", "config", "params", "headers", "httpHeaders":
		w = max(w, named)
	case "managedFields":
		return // long, and no control reads who wrote which field
	}
	switch v.Kind() {
	case fact.Map:
		b.Begin(v.Key(), v.Pos(), fact.Map)
		pair := v.Get(keyName)
		for c := range v.Children() {
			k := c.Key().String()
			if pair.Kind() == fact.String && (k == "value" || k == "default") && c.Kind() != fact.Map && c.Kind() != fact.List {
				h.scalar(b, c, pair.Str(), max(w, named))
				continue
			}
			h.copy(b, c, w)
		}
		b.End()
	case fact.List:
		h.list(b, v, w)
	default:
		h.scalar(b, v, key, w)
	}
}

var keyName = fact.K("name")

// argoSettings are those of Argo CD's settings that are none of its credentials.
var argoSettings = [...]string{"type", "name", "project", "insecure", "insecureIgnoreHostKey", "forceHttpBasicAuth", "enableLfs", "enableOCI"}

// versions are names under which a long random word is a version.
var versions = [...]string{"revision", "commit", "digest", "ref", "bundle"}

// list copies a list; one of texts may be a command line.
func (h *hider) list(b *fact.Builder, v fact.Value, w where) {
	b.Begin(v.Key(), v.Pos(), fact.List)
	defer b.End()
	var words []string
	for c := range v.Children() {
		if c.Kind() != fact.String {
			words = nil
			break
		}
		words = append(words, c.Str())
	}
	if w == sealed || len(words) == 0 {
		for c := range v.Children() {
			h.copy(b, c, w)
		}
		return
	}
	hidden := h.detector.HideArgs(words)
	i := 0
	for c := range v.Children() {
		b.String(c.Key(), c.Pos(), hidden[i])
		i++
	}
}

// scalar adds a value that lies under a name.
func (h *hider) scalar(b *fact.Builder, v fact.Value, name string, w where) {
	text := v.Text()
	if w == settings {
		switch {
		case name == "url": // whose beginning, in base64, looks random
			w = elsewhere
		case slices.Contains(argoSettings[:], name):
			w = named
		default:
			w = sealed
		}
	}
	switch {
	case w == sealed && h.referring(text):
		b.String(v.Key(), v.Pos(), h.reference.FindString(text)+h.detector.HideAll("", text))
	case w == sealed && text != "":
		b.String(v.Key(), v.Pos(), h.detector.HideAll("password", text))
	case v.Key().String() == "kubectl.kubernetes.io/last-applied-configuration" && text != "":
		b.String(v.Key(), v.Pos(), h.detector.HideAll("", text)) // the object once more, secrets and all
	case v.Kind() == fact.String && w == named && !slices.Contains(versions[:], name):
		b.String(v.Key(), v.Pos(), h.detector.Hide(name, text))
	case v.Kind() == fact.String:
		b.String(v.Key(), v.Pos(), h.plain(text))
	case w == named && text != "":
		if hidden := h.detector.Hide(name, text); hidden != text {
			b.String(v.Key(), v.Pos(), hidden)
			return
		}
		b.Copy(v.Key(), v)
	default:
		b.Copy(v.Key(), v)
	}
}

// referring reports whether a value says where it is to come from, in a form that
// the detector alone would take for a secret.
func (h *hider) referring(text string) bool {
	_, looks := h.detector.Named("password", text)
	return looks && h.reference.MatchString(text)
}

// plain hides secrets in a text elsewhere. Long random words stay: digests, UIDs
// and certificates are what controls and people go by.
func (h *hider) plain(text string) string {
	if len(h.detector.Text(text)) == 0 {
		return text
	}
	return h.detector.Hide("", text)
}
