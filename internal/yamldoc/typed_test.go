package yamldoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	kubejson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/randfill"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/merlon-security/merlon/internal/fact"
)

// groupVersions are those of kindsOf.
var groupVersions = strings.Fields(`v1 apps/v1 apps/v1beta1 apps/v1beta2 batch/v1 batch/v1beta1 extensions/v1beta1 policy/v1 policy/v1beta1
	admission.k8s.io/v1 admission.k8s.io/v1beta1 admissionregistration.k8s.io/v1 admissionregistration.k8s.io/v1alpha1 admissionregistration.k8s.io/v1beta1
	internal.apiserver.k8s.io/v1alpha1 authentication.k8s.io/v1 authentication.k8s.io/v1alpha1 authentication.k8s.io/v1beta1 authorization.k8s.io/v1 authorization.k8s.io/v1beta1
	autoscaling/v1 autoscaling/v2 certificates.k8s.io/v1 certificates.k8s.io/v1alpha1 certificates.k8s.io/v1beta1 coordination.k8s.io/v1 coordination.k8s.io/v1alpha2 coordination.k8s.io/v1beta1
	discovery.k8s.io/v1 discovery.k8s.io/v1beta1 events.k8s.io/v1 events.k8s.io/v1beta1 flowcontrol.apiserver.k8s.io/v1 flowcontrol.apiserver.k8s.io/v1beta1 flowcontrol.apiserver.k8s.io/v1beta2 flowcontrol.apiserver.k8s.io/v1beta3
	imagepolicy.k8s.io/v1alpha1 lifecycle.k8s.io/v1alpha1 networking.k8s.io/v1 networking.k8s.io/v1beta1 node.k8s.io/v1 node.k8s.io/v1alpha1 node.k8s.io/v1beta1
	rbac.authorization.k8s.io/v1 rbac.authorization.k8s.io/v1alpha1 rbac.authorization.k8s.io/v1beta1 resource.k8s.io/v1 resource.k8s.io/v1alpha3 resource.k8s.io/v1beta1 resource.k8s.io/v1beta2
	scheduling.k8s.io/v1 scheduling.k8s.io/v1alpha3 scheduling.k8s.io/v1beta1 storage.k8s.io/v1 storage.k8s.io/v1alpha1 storage.k8s.io/v1beta1 storagemigration.k8s.io/v1 storagemigration.k8s.io/v1beta1`)

type message interface {
	runtime.Object
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// eachKind calls f with a scheme's kinds in order; every kind of the table is
// one that protobuf can carry, List excepted.
func eachKind(t testing.TB, f func(gvk schema.GroupVersionKind, scheme *runtime.Scheme, fill *randfill.Filler)) {
	kinds := 0
	for _, gv := range groupVersions {
		register := kindsOf(gv)
		if register == nil {
			t.Fatalf("no kinds for %s", gv)
		}
		scheme := runtime.NewScheme()
		if err := register(scheme); err != nil {
			t.Fatal(err)
		}
		fill := fuzzer.FuzzerFor(metafuzzer.Funcs, mathrand.NewSource(7), serializer.NewCodecFactory(scheme))
		for _, kind := range slices.Sorted(func(yield func(string) bool) {
			for kind := range readScheme(gv) {
				if !yield(kind) {
					return
				}
			}
		}) {
			parsed, _ := schema.ParseGroupVersion(gv)
			f(parsed.WithKind(kind), scheme, fill)
			kinds++
		}
	}
	if kinds < 250 {
		t.Errorf("only %d kinds in the table", kinds)
	}
}

// typedJSON is what the API server would answer in JSON.
func typedJSON(t testing.TB, obj runtime.Object, gvk schema.GroupVersionKind) (raw []byte, want string) {
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	raw, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	want, err = canonical(raw)
	if err != nil {
		t.Fatal(err)
	}
	return raw, want
}

// withoutFieldsV1 drops what Protobuf drops.
func withoutFieldsV1(want string) string {
	var v any
	d := json.NewDecoder(strings.NewReader(want))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err.Error()
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if m, ok := v["managedFields"].([]any); ok {
				for _, e := range m {
					delete(e.(map[string]any), "fieldsV1")
				}
			}
			for _, e := range v {
				walk(e)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	v, _ = numbers(v)
	out, _ := json.Marshal(v)
	return string(out)
}

func TestProtobufEqualsJSONOfEveryKind(t *testing.T) {
	types := NewTypes()
	reader := types.NewProtobufReader()
	compared, bad := 0, 0
	eachKind(t, func(gvk schema.GroupVersionKind, scheme *runtime.Scheme, fill *randfill.Filler) {
		for range rounds(4, 12) {
			obj, err := scheme.New(gvk)
			if err != nil {
				t.Fatal(err)
			}
			m, ok := obj.(message)
			if !ok {
				t.Logf("%s has no protobuf", gvk)
				return
			}
			fill.Fill(obj)
			data, err := m.Marshal()
			if err != nil {
				t.Fatal(gvk, err)
			}
			back, _ := scheme.New(gvk)
			if err := back.(message).Unmarshal(data); err != nil {
				t.Fatal(gvk, err)
			}
			raw, want := typedJSON(t, back, gvk)
			v, err := reader.Object(data, gvk.GroupVersion().String(), gvk.Kind)
			if err != nil {
				t.Errorf("%s: %v", gvk, err)
				return
			}
			compared++
			if got := string(JSON(v)); got != withoutFieldsV1(want) {
				if bad++; bad < 6 {
					t.Errorf("%s:\ngot  %s", gvk, firstDifference(got, withoutFieldsV1(want)))
				}
				return
			}
			// What the API server writes it takes: no problem may be found in it.
			doc, err := NewReader(bytes.NewReader(raw), "f", Limits{}).Next()
			if err != nil {
				t.Fatal(gvk, err)
			}
			if p := types.Check(doc.Root); len(p) > 0 {
				t.Errorf("%s: %v", gvk, p)
				return
			}
		}
	})
	t.Logf("%d objects compared, %d differ", compared, bad)
}

func firstDifference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(0, i-80)
	return fmt.Sprintf("…%s\nwant …%s", got[from:min(len(got), i+80)], want[from:min(len(want), i+80)])
}

func TestProtobufNumbersFitTheTable(t *testing.T) {
	types := NewTypes()
	seen := make(map[*shape]bool)
	var walk func(s *shape)
	walk = func(s *shape) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		walk(s.elem)
		if s.form != object {
			return
		}
		st := types.structure(s)
		for i := range st.order {
			f := &st.order[i]
			if f.number >= firstFields {
				t.Errorf("%s.%s has number %d", s.gotype, f.name, f.number)
			}
			walk(f.shape)
		}
	}
	eachKind(t, func(gvk schema.GroupVersionKind, _ *runtime.Scheme, _ *randfill.Filler) {
		walk(types.lookup(gvk.GroupVersion().String(), gvk.Kind))
	})
}

func checkText(t *testing.T, text string) []Problem {
	t.Helper()
	doc, err := NewReader(strings.NewReader(text), "f", Limits{}).Next()
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return NewTypes().Check(doc.Root)
}

func pos(line, column uint32) fact.Pos { return fact.Pos{Line: line, Column: column} }

// TestTypedObjectsComeBack holds the whole way: a typed object written as YAML,
// read by us and by sigs.k8s.io/yaml, decoded by the API server's decoder, is
// the same object both times.
func TestTypedObjectsComeBack(t *testing.T) {
	eachKind(t, func(gvk schema.GroupVersionKind, scheme *runtime.Scheme, fill *randfill.Filler) {
		decoder := kubejson.NewSerializerWithOptions(kubejson.DefaultMetaFactory, scheme, scheme, kubejson.SerializerOptions{Strict: true})
		for range rounds(1, 3) {
			obj, _ := scheme.New(gvk)
			fill.Fill(obj)
			obj.GetObjectKind().SetGroupVersionKind(gvk)
			text, err := sigsyaml.Marshal(obj)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := sigsyaml.YAMLToJSON(text)
			if err != nil {
				t.Fatal(err)
			}
			want, _, err := decoder.Decode(theirs, &gvk, nil)
			if err != nil {
				t.Fatal(gvk, err)
			}
			doc, err := NewReader(bytes.NewReader(text), "f", Limits{}).Next()
			if err != nil {
				t.Errorf("%s: %v", gvk, err)
				return
			}
			got, _, err := decoder.Decode(JSON(doc.Root), &gvk, nil)
			if err != nil || !equality.Semantic.DeepEqual(got, want) {
				t.Errorf("%s: %v\n%.2000s", gvk, err, text)
				return
			}
		}
	})
}
