package fact

import (
	"strconv"
	"strings"
)

// mergeKeys are the fields by which the elements of a list are told apart, by
// the list's field name: the patch merge keys and listMapKeys of the Kubernetes
// API. The first that an element has is used.
func mergeKeys(list string) []string {
	switch list {
	case "ports":
		return []string{"name", "containerPort", "port"}
	case "volumeMounts":
		return []string{"mountPath"}
	case "volumeDevices":
		return []string{"devicePath"}
	case "hostAliases":
		return []string{"ip"}
	case "topologySpreadConstraints":
		return []string{"topologyKey"}
	case "tls":
		return []string{"secretName"}
	case "rules":
		return []string{"host", "name"}
	case "paths":
		return []string{"path"}
	case "items":
		return []string{"key", "path", "name"}
	case "conditions":
		return []string{"type"}
	case "parentRefs", "backendRefs", "targetRefs":
		return []string{"name"}
	}
	return []string{"name", "key", "id"}
}

// Path returns where a value lies in its document, list elements by their
// position: `spec.containers[0].image`. It is the form that other tools
// understand.
func (v Value) Path() string {
	return v.path(func(_, _ Value, i int, _ string) string { return strconv.Itoa(i) })
}

// ShownPath returns the path as people read it: list elements by their merge
// key where they have one of their own, `spec.containers[app].image`, else by
// position.
func (v Value) ShownPath() string {
	return v.path(func(parent, element Value, i int, list string) string {
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
	return v.path(func(parent, element Value, i int, list string) string {
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
			if list != "args" && list != "command" {
				return element.Str()
			}
			return strconv.Itoa(i)
		}
		return "#" + strconv.FormatUint(element.Hash()>>32, 16)
	})
}

// twins counts the elements of a list with the same merge key as element i,
// before and behind it.
func twins(parent Value, i int, list, key string) (before, after int) {
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

func mergeKey(element Value, list string) (string, bool) {
	if element.Kind() != Map {
		return "", false
	}
	for _, key := range mergeKeys(list) {
		if k := element.Get(K(key)); k.Kind() == String || k.Kind() == Int {
			return k.Text(), true
		}
	}
	return "", false
}

func (v Value) path(element func(parent, v Value, i int, list string) string) string {
	if v.t == nil {
		return ""
	}
	var b strings.Builder
	at, list := Value{v.t, 0}, ""
	for at.i != v.i {
		i := 0
		for c := range at.Children() {
			if v.Within(c) {
				if at.Kind() == Map {
					list = c.Key().String()
					writeField(&b, list)
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
	if strings.ContainsAny(name, ".[]/\"' ") || name == "" {
		b.WriteString("[" + strconv.Quote(name) + "]")
		return
	}
	if b.Len() > 0 {
		b.WriteByte('.')
	}
	b.WriteString(name)
}
