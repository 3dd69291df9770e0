package yamldoc

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/merlon-security/merlon/internal/fact"
)

// enveloped is a message as the API server sends it.
func enveloped(t testing.TB, m message, apiVersion, kind string) []byte {
	t.Helper()
	raw, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	u := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: apiVersion, Kind: kind}, Raw: raw}
	out, err := u.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(protobufMagic), out...)
}

func typedDeployment(t testing.TB) *appsv1.Deployment {
	t.Helper()
	d := &appsv1.Deployment{}
	if err := json.Unmarshal(JSON(readAll(t, []byte(deployment))[0].Root), d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestProtobufEnvelope(t *testing.T) {
	d := typedDeployment(t)
	v, err := NewTypes().Protobuf(enveloped(t, d, "apps/v1", "Deployment"), "", "")
	if err != nil {
		t.Fatal(err)
	}
	_, want := typedJSON(t, d, appsv1.SchemeGroupVersion.WithKind("Deployment"))
	if got := string(JSON(v)); got != want {
		t.Error(firstDifference(got, want))
	}
}

func TestProtobufList(t *testing.T) {
	pods := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "7", Continue: "c"}}
	for i := range 3 {
		pods.Items = append(pods.Items, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i)}, Spec: corev1.PodSpec{HostPID: true}})
	}
	var names []string
	meta, err := NewTypes().NewProtobufReader().List(enveloped(t, pods, "v1", "PodList"), "", "", func(v fact.Value) error {
		if v.At("kind").Str() != "Pod" || v.At("apiVersion").Str() != "v1" || !v.At("spec", "hostPID").Bool() {
			t.Errorf("%s", JSON(v))
		}
		names = append(names, v.At("metadata", "name").Str())
		return nil
	})
	if err != nil || fmt.Sprint(names) != "[p0 p1 p2]" || string(JSON(meta)) != `{"continue":"c","resourceVersion":"7"}` {
		t.Error(err, names, string(JSON(meta)))
	}
	stop := errors.New("stop")
	if _, err := NewTypes().NewProtobufReader().List(enveloped(t, pods, "v1", "PodList"), "", "", func(fact.Value) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	if _, err := NewTypes().NewProtobufReader().List(enveloped(t, &corev1.Pod{}, "v1", "Pod"), "", "", nil); err == nil {
		t.Error("a Pod was read as a list")
	}
}

func TestSecretValuesAreSkipped(t *testing.T) {
	s := corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "s", Annotations: map[string]string{lastApplied: "hidden", "other": "seen"}},
		Data:       map[string][]byte{"password": []byte("hidden")}, StringData: map[string]string{"token": "hidden"}, Type: "Opaque",
	}
	r := NewTypes().NewProtobufReader()
	r.SkipSecretValues = true
	v, err := r.Object(enveloped(t, &s, "v1", "Secret"), "", "")
	const want = `{"apiVersion":"v1","data":{"password":""},"kind":"Secret","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"","other":"seen"},"name":"s"},"stringData":{"token":""},"type":"Opaque"}`
	if got := string(JSON(v)); err != nil || got != want {
		t.Error(err, got)
	}
	list := &corev1.SecretList{Items: []corev1.Secret{s, s}}
	if v, err = r.Object(enveloped(t, list, "v1", "SecretList"), "", ""); err != nil || strings.Contains(string(JSON(v)), "hidden") || strings.Contains(string(JSON(v)), "aGlkZGVu") {
		t.Error(err, string(JSON(v)))
	}
	// Other kinds keep what they have.
	config := &corev1.ConfigMap{Data: map[string]string{"a": "seen"}}
	if v, err = r.Object(enveloped(t, config, "v1", "ConfigMap"), "", ""); err != nil || v.At("data", "a").Str() != "seen" {
		t.Error(err, string(JSON(v)))
	}
}

func TestMalformedProtobuf(t *testing.T) {
	types := NewTypes()
	whole := enveloped(t, typedDeployment(t), "apps/v1", "Deployment")
	for i := range whole {
		if v, err := types.Protobuf(whole[:i], "", ""); err == nil && v.At("spec").Present() && i < len(whole)-len("spec") {
			if got := string(JSON(v)); len(got) > 1<<20 {
				t.Error(i, len(got))
			}
		}
	}
	if _, err := types.Protobuf(enveloped(t, &corev1.Pod{}, "example.com/v1", "Odd"), "", ""); !errors.Is(err, ErrUnknownKind) {
		t.Error(err)
	}
}

func FuzzProtobuf(f *testing.F) {
	types := NewTypes()
	reader := types.NewProtobufReader()
	f.Add(enveloped(f, typedDeployment(f), "apps/v1", "Deployment"))
	f.Add(enveloped(f, &corev1.Secret{Data: map[string][]byte{"a": []byte("b")}}, "v1", "Secret"))
	f.Add([]byte("k8s\x00\n\x04\n\x02v1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := reader.Object(data, "v1", "Pod")
		if err != nil {
			return
		}
		// What comes out is sound: it can be written and read again.
		text := JSON(v)
		if !json.Valid(text) {
			t.Fatalf("%q", text)
		}
		if again := readAll(t, text); string(JSON(again[0].Root)) != string(text) {
			t.Errorf("%s\n%s", text, JSON(again[0].Root))
		}
	})
}

func BenchmarkProtobuf(b *testing.B) {
	data := enveloped(b, typedDeployment(b), "apps/v1", "Deployment")
	r := NewTypes().NewProtobufReader()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Object(data, "", ""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProtobufTyped(b *testing.B) {
	data, _ := typedDeployment(b).Marshal()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		var d appsv1.Deployment
		if err := d.Unmarshal(data); err != nil {
			b.Fatal(err)
		}
	}
}
