package yamldoc

import (
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/merlon-security/merlon/internal/fact"
)

// Types knows the built-in kinds of Kubernetes: their fields, what each takes,
// how protobuf numbers them and what tells the elements of their lists apart.
// All of it comes from the struct tags of k8s.io/api and is read when first
// needed, struct by struct. Safe for concurrent use; made by [NewTypes].
type Types struct {
	mu     sync.Mutex
	shapes map[reflect.Type]*shape
	scheme map[string]map[string]reflect.Type // group version → kind → type
	kinds  atomic.Pointer[map[typeName]*shape]
	names  sync.Map // *shape → the names of all fields below it, map[string]bool
}

type typeName struct{ apiVersion, kind string }

// NewTypes returns an empty table; it fills itself.
func NewTypes() *Types {
	t := &Types{shapes: make(map[reflect.Type]*shape), scheme: make(map[string]map[string]reflect.Type)}
	t.kinds.Store(&map[typeName]*shape{})
	return t
}

// form is how a value looks in JSON and in protobuf.
type form uint8

const (
	anything form = iota // RawExtension and what is like it
	boolean
	text
	integer
	number
	binary
	list
	dictionary
	object
	quantity
	intOrString
	timestamp
	microTimestamp
	duration
	fieldsV1
)

// shape is one Go type.
type shape struct {
	form    form
	bits    int    // of an integer
	elem    *shape // of a list or dictionary
	message bool   // a list that is a message of its own in protobuf
	gotype  reflect.Type
	fields  atomic.Pointer[structure] // of an object, once needed
}

// structure is one Go struct.
type structure struct {
	byKey map[fact.Key]*field // inlined structs' fields included
	order []field             // as declared
}

// field is one field of a struct.
type field struct {
	key       fact.Key
	name      string
	number    int // in protobuf; 0 for none
	shape     *shape
	pointer   bool
	inline    bool // its fields stand in its parent in JSON
	omitEmpty bool
	omitZero  bool
	mergeKey  string
}

// lookup returns the shape of a built-in kind, nil for any other.
func (t *Types) lookup(apiVersion, kind string) *shape {
	name := typeName{apiVersion, kind}
	if s, ok := (*t.kinds.Load())[name]; ok {
		return s
	}
	if kindsOf(apiVersion) == nil || kind == "" {
		return nil // not kept: there is no end of them
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	group, ok := t.scheme[apiVersion]
	if !ok {
		group = readScheme(apiVersion)
		t.scheme[apiVersion] = group
	}
	typ, ok := group[kind]
	if !ok {
		return nil
	}
	s := t.shape(typ)
	old := *t.kinds.Load()
	next := make(map[typeName]*shape, len(old)+1)
	for k, v := range old {
		next[k] = v
	}
	next[typeName{strings.Clone(apiVersion), strings.Clone(kind)}] = s
	t.kinds.Store(&next)
	return s
}

// readScheme asks k8s.io/api for the kinds of a group version. Its scheme also
// registers the options of requests, which are no objects.
func readScheme(apiVersion string) map[string]reflect.Type {
	scheme := runtime.NewScheme()
	out := make(map[string]reflect.Type)
	if err := kindsOf(apiVersion)(scheme); err != nil {
		return out // the library's own registration: there is nothing that could fail
	}
	for gvk, typ := range scheme.AllKnownTypes() {
		if gvk.GroupVersion().String() == apiVersion && typ.PkgPath() != "k8s.io/apimachinery/pkg/apis/meta/v1" || gvk.Kind == "List" && gvk.GroupVersion().String() == apiVersion {
			out[gvk.Kind] = typ
		}
	}
	return out
}

// shape returns the shape of a Go type; t.mu is held.
func (t *Types) shape(typ reflect.Type) *shape {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if s, ok := t.shapes[typ]; ok {
		return s
	}
	s := &shape{gotype: typ}
	t.shapes[typ] = s // before its parts: types may hold themselves
	switch typ {
	case reflect.TypeFor[resource.Quantity]():
		s.form = quantity
	case reflect.TypeFor[intstr.IntOrString]():
		s.form = intOrString
	case reflect.TypeFor[metav1.Time]():
		s.form = timestamp
	case reflect.TypeFor[metav1.MicroTime]():
		s.form = microTimestamp
	case reflect.TypeFor[metav1.Duration]():
		s.form = duration
	case reflect.TypeFor[metav1.FieldsV1]():
		s.form = fieldsV1
	case reflect.TypeFor[runtime.RawExtension]():
		s.form = anything
	default:
		t.plainShape(s, typ)
	}
	return s
}

func (t *Types) plainShape(s *shape, typ reflect.Type) {
	switch typ.Kind() {
	case reflect.Bool:
		s.form = boolean
	case reflect.String:
		s.form = text
	case reflect.Int32, reflect.Int64, reflect.Int, reflect.Uint8, reflect.Uint32, reflect.Uint64:
		s.form, s.bits = integer, typ.Bits()
	case reflect.Float32, reflect.Float64:
		s.form = number
	case reflect.Slice:
		if typ.Elem().Kind() == reflect.Uint8 {
			s.form = binary
			return
		}
		s.form, s.elem = list, t.shape(typ.Elem())
		_, s.message = reflect.PointerTo(typ).MethodByName("Unmarshal")
	case reflect.Map:
		s.form, s.elem = dictionary, t.shape(typ.Elem())
	case reflect.Struct:
		s.form = object
	}
}

// structure returns the fields of an object's shape.
func (t *Types) structure(s *shape) *structure {
	if fields := s.fields.Load(); fields != nil {
		return fields
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.readStructure(s)
}

func (t *Types) readStructure(s *shape) *structure {
	if fields := s.fields.Load(); fields != nil {
		return fields
	}
	out := &structure{byKey: make(map[fact.Key]*field), order: make([]field, 0, s.gotype.NumField())}
	for i := range s.gotype.NumField() {
		if f, ok := t.field(s.gotype.Field(i)); ok {
			out.order = append(out.order, f)
		}
	}
	for i := range out.order {
		f := &out.order[i]
		if !f.inline {
			out.byKey[f.key] = f
			continue
		}
		for k, inner := range t.readStructure(f.shape).byKey {
			if _, ok := out.byKey[k]; !ok {
				out.byKey[k] = inner
			}
		}
	}
	s.fields.Store(out)
	return out
}

// field reads the tags of a struct field; it reports false for one that is not
// part of the object.
func (t *Types) field(f reflect.StructField) (field, bool) {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" || !f.IsExported() {
		return field{}, false
	}
	out := field{
		name:      name,
		shape:     t.shape(f.Type),
		pointer:   f.Type.Kind() == reflect.Pointer,
		inline:    f.Anonymous && name == "",
		omitEmpty: hasOption(options, "omitempty"),
		omitZero:  hasOption(options, "omitzero"),
		mergeKey:  f.Tag.Get("patchMergeKey"),
	}
	if name == "" {
		out.name = f.Name
	}
	out.key = fact.K(out.name)
	if parts := strings.Split(f.Tag.Get("protobuf"), ","); len(parts) > 1 {
		out.number, _ = strconv.Atoi(parts[1]) // 0, "none", where there is no number
	}
	return out, true
}

func hasOption(options, option string) bool {
	for o := range strings.SplitSeq(options, ",") {
		if o == option {
			return true
		}
	}
	return false
}

// MergeKey returns the fields that tell the elements of a list apart, for a
// path of field names from the root of a built-in kind (lists and dictionaries
// are stepped into by naming nothing): the patchMergeKey of the API, or the
// listMapKeys where it has only those. Nil when the list has none.
func (t *Types) MergeKey(apiVersion, kind string, path ...string) []string {
	s := t.lookup(apiVersion, kind)
	for i, name := range path {
		for s != nil && (s.form == list || s.form == dictionary) {
			s = s.elem
		}
		if s == nil || s.form != object {
			return nil
		}
		f := t.structure(s).byKey[fact.K(name)]
		if f == nil {
			return nil
		}
		if i == len(path)-1 {
			if keys := listMapKeys(f.name, f.shape); keys != nil {
				return keys
			}
			if f.mergeKey != "" {
				return []string{f.mergeKey}
			}
		}
		s = f.shape
	}
	return nil
}

// listMapKeys holds the +listMapKey markers of k8s.io/api v0.37 that say more
// than a patchMergeKey, by the element's type. They stand in comments, so they
// are copied here.
func listMapKeys(field string, s *shape) []string {
	if s.form != list || s.elem.form != object {
		return nil
	}
	switch s.elem.gotype.Name() + "." + field {
	case "ContainerPort.ports":
		return []string{"containerPort", "protocol"}
	case "ServicePort.ports":
		return []string{"port", "protocol"}
	case "TopologySpreadConstraint.topologySpreadConstraints":
		return []string{"topologyKey", "whenUnsatisfiable"}
	case "ResourceClaim.claims", "PodGroupTemplate.podGroupTemplates", "CompositePodGroupTemplate.compositePodGroupTemplates":
		return []string{"name"}
	case "AllocatedDeviceStatus.devices":
		return []string{"driver", "device", "pool", "shareID"}
	case "Condition.conditions", "CertificateSigningRequestCondition.conditions", "FlowSchemaCondition.conditions",
		"PriorityLevelConfigurationCondition.conditions", "StorageVersionCondition.conditions":
		return []string{"type"}
	}
	return nil
}
