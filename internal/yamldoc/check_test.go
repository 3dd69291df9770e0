package yamldoc

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubejson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/randfill"

	"github.com/google/go-cmp/cmp"
)

func TestCheckTellsWhatTheAPIServerRefuses(t *testing.T) {
	pod := func(spec string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n" + spec
	}
	for _, c := range []struct {
		name, doc string
		want      []Problem
	}{
		{"clean", deployment, nil},
		{"number for string", pod("  containers:\n  - name: c\n    env:\n    - name: PORT\n      value: 8080\n"),
			[]Problem{{WrongType, pos(10, 7), "spec.containers[0].env[0].value", "expected string, found integer"}}},
		{"string for boolean", pod("  hostNetwork: \"true\"\n"),
			[]Problem{{WrongType, pos(6, 3), "spec.hostNetwork", "expected boolean, found string"}}},
		{"wrong case", pod("  containers:\n  - name: c\n    securityContext:\n      Privileged: true\n"),
			[]Problem{{UnknownField, pos(9, 7), "spec.containers[0].securityContext.Privileged", "the API server drops this field: the kind does not have it (it has privileged; case matters)"}}},
		{"unknown", pod("  hostnetworking: true\n"),
			[]Problem{{UnknownField, pos(6, 3), "spec.hostnetworking", "the API server drops this field: the kind does not have it"}}},
		{"misspelt and misplaced", pod("  containres: []\n  privileged: true\n"),
			[]Problem{
				{UnknownField, pos(6, 3), "spec.containres", "the API server drops this field: the kind does not have it"},
				{UnknownField, pos(7, 3), "spec.privileged", "the API server drops this field: the kind does not have it"},
			}},
		{"what may be a secret is not told", pod("  hunter2hunter2: x\n  containers:\n  - {name: c, S3cr3tS3cr3t: [1]}\n"),
			[]Problem{
				{UnknownField, pos(6, 3), "spec", "the API server drops the field that stands here: the kind does not have it"},
				{UnknownField, pos(8, 15), "spec.containers[0]", "the API server drops the field that stands here: the kind does not have it"},
			}},
		{"map for list", pod("  containers: {name: c}\n"),
			[]Problem{{WrongType, pos(6, 3), "spec.containers", "expected list, found map"}}},
		{"string for map", pod("  securityContext: none\n"),
			[]Problem{{WrongType, pos(6, 3), "spec.securityContext", "expected map, found string"}}},
		{"null is nothing", pod("  containers: null\n  hostNetwork: ~\n"), nil},
		{"quantities", pod("  containers:\n  - name: c\n    resources:\n      limits: {cpu: 1, memory: 1.5Gi, a: 0.5, b: 1e3, c: \" 5 \", d: 5 Gi, e: [1]}\n"),
			[]Problem{
				{WrongType, pos(9, 65), "spec.containers[0].resources.limits.d", "expected quantity, found one that is malformed"},
				{WrongType, pos(9, 74), "spec.containers[0].resources.limits.e", "expected quantity, found list"},
			}},
		{"integer or string", "apiVersion: v1\nkind: Service\nspec:\n  ports:\n  - {port: 1, targetPort: 8080}\n  - {port: 2, targetPort: http}\n  - {port: 3, targetPort: 1.5}\n  - {port: 4, targetPort: 3000000000}\n  - {port: 3000000000}\n",
			[]Problem{
				{WrongType, pos(7, 15), "spec.ports[2].targetPort", "expected integer or string, found number"},
				{WrongType, pos(8, 15), "spec.ports[3].targetPort", "expected 32-bit integer, found a larger one"},
				{WrongType, pos(9, 6), "spec.ports[4].port", "expected 32-bit integer, found a larger one"},
			}},
		{"times", "apiVersion: v1\nkind: Pod\nmetadata:\n  creationTimestamp: 2026-01-01T00:00:00Z\n  deletionTimestamp: yesterday\n",
			[]Problem{{WrongType, pos(5, 3), "metadata.deletionTimestamp", "expected time, found one that is malformed"}}},
		{"base64", "apiVersion: v1\nkind: Secret\ndata:\n  a: aGVsbG8=\n  b: hello!\n  c: 12345678\n  d: |\n    aGVs\n    bG8=\n",
			[]Problem{
				{WrongType, pos(5, 3), "data.b", "expected base64, found a string that is not"},
				{WrongType, pos(6, 3), "data.c", "expected base64 string, found integer"},
			}},
		{"annotations", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  annotations:\n    a: yes\ndata:\n  port: 80\n",
			[]Problem{
				{WrongType, pos(5, 5), "metadata.annotations.a", "expected string, found boolean"},
				{WrongType, pos(7, 3), "data.port", "expected string, found integer"},
			}},
		{"within a list", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  spec: {hostPID: 1}\n- {apiVersion: example.com/v1, kind: Odd, spec: {anything: 1}}\n",
			[]Problem{{WrongType, pos(6, 10), "items[0].spec.hostPID", "expected boolean, found integer"}}},
		{"not built in", "apiVersion: example.com/v1\nkind: Pod\nspec: 1\n", nil},
		{"a kind that is gone", "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nspec: 1\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := checkText(t, c.doc)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestCheckAgreesWithTheAPIServersDecoder breaks valid objects of every kind at
// random and compares with the strict decoder of the API server.
func TestCheckAgreesWithTheAPIServersDecoder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	types := NewTypes()
	refused, dropped, bad := 0, 0, 0
	eachKind(t, func(gvk schema.GroupVersionKind, scheme *runtime.Scheme, fill *randfill.Filler) {
		decoder := kubejson.NewSerializerWithOptions(kubejson.DefaultMetaFactory, scheme, scheme, kubejson.SerializerOptions{Strict: true})
		for range rounds(6, 15) {
			obj, _ := scheme.New(gvk)
			fill.Fill(obj)
			raw, _ := typedJSON(t, obj, gvk)
			raw = mutate(r, raw)
			doc, err := NewReader(strings.NewReader(string(raw)), "f", Limits{}).Next()
			if err != nil {
				t.Fatal(err)
			}
			wrong, unknown := false, false
			for _, p := range types.Check(doc.Root) {
				wrong = wrong || p.Kind == WrongType
				unknown = unknown || p.Kind == UnknownField
			}
			_, _, err = decoder.Decode(JSON(doc.Root), &gvk, nil)
			strict := runtime.IsStrictDecodingError(err)
			hard := err != nil && !strict
			if hard {
				refused++
			}
			if strict {
				dropped++
			}
			if hard != wrong || !hard && strict != unknown {
				if bad++; bad < 5 {
					t.Errorf("%s: the API server says %v; we say %v\n%.3000s", gvk, err, types.Check(doc.Root), raw)
				}
			}
		}
	})
	t.Logf("%d refused, %d with dropped fields, %d disagreements", refused, dropped, bad)
	if refused < 500 || dropped < 500 {
		t.Error("the mutations break too little")
	}
}

// mutate replaces one value of a document by one of another kind, or adds or
// renames a field.
func mutate(r *rand.Rand, raw []byte) []byte {
	var root map[string]any
	if err := json.Unmarshal(raw, &root); err != nil {
		return raw
	}
	odd := []any{true, "text", 1, 1.5, 3000000000, -1, []any{}, []any{"a"}, []any{map[string]any{}}, map[string]any{}, map[string]any{"a": "b"}, nil,
		"1Gi", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z", "aGk=", "10", "", "1h", 1e300}
	var places []func()
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			places = append(places, func() { v["addedField"] = 1 })
			for _, k := range slices.Sorted(maps.Keys(v)) {
				e := v[k]
				if k == "apiVersion" || k == "kind" {
					continue
				}
				places = append(places, func() { v[k] = odd[r.IntN(len(odd))] }, func() { v[strings.ToUpper(k[:min(1, len(k))])+k[min(1, len(k)):]] = e })
				walk(e)
			}
		case []any:
			for i, e := range v {
				places = append(places, func() { v[i] = odd[r.IntN(len(odd))] })
				walk(e)
			}
		}
	}
	walk(root)
	for range r.IntN(2) + 1 {
		places[r.IntN(len(places))]()
	}
	out, err := json.Marshal(root)
	if err != nil {
		return raw
	}
	return out
}

func TestMergeKeys(t *testing.T) {
	types := NewTypes()
	for _, c := range []struct {
		apiVersion, kind, path string
		want                   []string
	}{
		{"v1", "Pod", "spec.containers", []string{"name"}},
		{"apps/v1", "Deployment", "spec.template.spec.containers.env", []string{"name"}},
		{"apps/v1", "Deployment", "spec.template.spec.containers.ports", []string{"containerPort", "protocol"}},
		{"apps/v1", "Deployment", "spec.template.spec.containers.volumeMounts", []string{"mountPath"}},
		{"v1", "Service", "spec.ports", []string{"port", "protocol"}},
		{"v1", "Pod", "spec.tolerations", nil},
		{"v1", "Pod", "status.conditions", []string{"type"}},
		{"v1", "Pod", "spec.nothing.containers", nil},
		{"example.com/v1", "Pod", "spec.containers", nil},
	} {
		if got := types.MergeKey(c.apiVersion, c.kind, strings.Split(c.path, ".")...); !cmp.Equal(got, c.want) {
			t.Errorf("%s %s: got %v, want %v", c.kind, c.path, got, c.want)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	types := NewTypes()
	root := readAll(b, []byte(deployment))[0].Root
	b.ReportAllocs()
	for b.Loop() {
		if p := types.Check(root); p != nil {
			b.Fatal(p)
		}
	}
}

func BenchmarkCheckFirst(b *testing.B) {
	root := readAll(b, []byte(deployment))[0].Root
	b.ReportAllocs()
	for b.Loop() {
		NewTypes().Check(root)
	}
}
