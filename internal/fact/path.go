package fact

import (
	"strconv"
	"strings"
)

// mergeKeys are the fields by which the elements of a list are told apart, by
// the list's field name: the patch merge keys and listMapKeys of the Kubernetes
// API. The first that an element has is used. Lists not named here go by
// usualMergeKeys.
var mergeKeys = map[Key][]Key{
	K("ports"):                     keys("name", "containerPort", "port"),
	K("volumeMounts"):              keys("mountPath"),
	K("volumeDevices"):             keys("devicePath"),
	K("hostAliases"):               keys("ip"),
	K("topologySpreadConstraints"): keys("topologyKey"),
	K("tls"):                       keys("secretName"),
	K("rules"):                     keys("host", "name"),
	K("paths"):                     keys("path"),
	K("items"):                     keys("key", "path", "name"),
	K("conditions"):                keys("type"),
	K("parentRefs"):                keys("name"),
	K("backendRefs"):               keys("name"),
	K("targetRefs"):                keys("name"),
}

var (
	usualMergeKeys = keys("name", "key", "id")

	keyArgs    = K("args")
	keyCommand = K("command")
)

func keys(names ...string) []Key {
	out := make([]Key, len(names))
	for i, n := range names {
		out[i] = K(n)
	}
	return out
}

// Path returns where a value lies in its document, list elements by their
// position: `spec.containers[0].image`. It is the form that other tools
// understand.
func (v Value) Path() string {
	return v.path(func(_, _ Value, i int, _ Key) string { return strconv.Itoa(i) })
}

// ShownPath returns the path as people read it: list elements by their merge
// key where they have one of their own, `spec.containers[app].image`, else by
// position.
func (v Value) ShownPath() string {
	return v.path(func(parent, element Value, i int, list Key) string {
		if key, ok := mergeKey(element, list); ok {
			if before, after := twins(parent, i, list, key); before+after == 0 {
				return key
			}
		}
		return strconv.Itoa(i)
	})
}

// NamedPath returns the path by which a finding is known over time: an element
// without a merge key is named by what it is, a flag by its name, anything else
// by a hash of its content, so that reordering changes nothing. Of elements with
// one merge key, which only a mistake gives, each but the first has its number
// among them behind it.
func (v Value) NamedPath() string {
	return v.path(func(parent, element Value, i int, list Key) string {
		if key, ok := mergeKey(element, list); ok {
			if before, _ := twins(parent, i, list, key); before > 0 {
				return key + "#" + strconv.Itoa(before+1)
			}
			return key
		}
		if element.Kind() == String {
			if s := element.Str(); strings.HasPrefix(s, "-") {
				flag, _, _ := strings.Cut(s, "=")
				return flag
			}
			if list != keyArgs && list != keyCommand {
				return element.Str()
			}
			return strconv.Itoa(i)
		}
		return "#" + strconv.FormatUint(element.Hash()>>32, 16)
	})
}

// twins counts the elements of a list with the same merge key as element i,
// before and behind it.
func twins(parent Value, i int, list Key, key string) (before, after int) {
	j := 0
	for c := range parent.Children() {
		if k, ok := mergeKey(c, list); ok && k == key {
			switch {
			case j < i:
				before++
			case j > i:
				after++
			}
		}
		j++
	}
	return before, after
}

func mergeKey(element Value, list Key) (string, bool) {
	if element.Kind() != Map {
		return "", false
	}
	by, ok := mergeKeys[list]
	if !ok {
		by = usualMergeKeys
	}
	for _, key := range by {
		if k := element.Get(key); k.Kind() == String || k.Kind() == Int {
			return k.Text(), true
		}
	}
	return "", false
}

func (v Value) path(element func(parent, v Value, i int, list Key) string) string {
	if v.t == nil {
		return ""
	}
	var b strings.Builder
	b.Grow(64)
	at, list := Value{v.t, 0}, Key{}
	for at.i != v.i {
		i := 0
		for c := range at.Children() {
			if v.Within(c) {
				if at.Kind() == Map {
					list = c.Key()
					writeField(&b, list.String())
				} else {
					b.WriteByte('[')
					b.WriteString(element(at, c, i, list))
					b.WriteByte(']')
				}
				at = c
				break
			}
			i++
		}
	}
	return b.String()
}

// writeField appends a field name, quoted where dots in it would mislead.
func writeField(b *strings.Builder, name string) {
	if !plainName(name) {
		b.WriteString("[" + strconv.Quote(name) + "]")
		return
	}
	if b.Len() > 0 {
		b.WriteByte('.')
	}
	b.WriteString(name)
}

// plainName reports whether a field name needs no quotes in a path.
func plainName(name string) bool {
	for i := range len(name) {
		switch name[i] {
		case '.', '[', ']', '/', '"', '\'', ' ':
			return false
		}
	}
	return name != ""
}
