package yamldoc

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/merlon-security/merlon/internal/fact"
)

// typedPod is a pod with everything that is left out, and with two owners.
func typedPod(name string) corev1.Pod {
	yes := true
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "shop", UID: types.UID("uid-" + name), ResourceVersion: "42",
		Annotations:   map[string]string{lastApplied: "{}", "team": "a"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)}},
		OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "v1", Kind: "Node", Name: "n", UID: "other"},
			{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "rs", UID: "rs-uid", Controller: &yes},
		},
	}, Spec: corev1.PodSpec{NodeName: "n1"}}
}

const leanPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"team":"a"},"name":"a","namespace":"shop","ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n","uid":"other"},{"apiVersion":"apps/v1","controller":true,"kind":"ReplicaSet","name":"rs","uid":"rs-uid"}],"resourceVersion":"42","uid":"uid-a"},"spec":{"containers":null,"nodeName":"n1"},"status":{}}`

func wantIdentity(name string) Identity {
	return Identity{"shop", name, "uid-" + name, "42", Owner{"apps/v1", "ReplicaSet", "rs", "rs-uid"}}
}

func TestItemsOfAList(t *testing.T) {
	pods := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "7", Continue: "c"}, Items: []corev1.Pod{typedPod("a"), typedPod("b")}}
	r := NewTypes().NewProtobufReader()
	r.Lean = true
	var ids []Identity
	var first string
	meta, err := r.Items(enveloped(t, pods, "v1", "PodList"), func(item []byte) error {
		id, err := Identify(item)
		ids = append(ids, id)
		if first == "" {
			v, err := NewTypes().leanObject(item)
			if err != nil {
				return err
			}
			if got := IdentityOf(v); got != id {
				t.Errorf("decoded %+v, on the wire %+v", got, id)
			}
			first = string(JSON(v))
		}
		return err
	})
	if err != nil || meta != (ListMeta{"7", "c"}) {
		t.Fatal(err, meta)
	}
	if diff := cmp.Diff([]Identity{wantIdentity("a"), wantIdentity("b")}, ids); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(leanPod, first); diff != "" {
		t.Error(diff)
	}
	if _, err := r.Items(enveloped(t, &corev1.Pod{}, "v1", "Pod"), nil); err == nil {
		t.Error("a Pod was read as a list")
	}
}

func (t *Types) leanObject(item []byte) (fact.Value, error) {
	r := t.NewProtobufReader()
	r.Lean = true
	return r.Object(item, "v1", "Pod")
}

func TestJSONList(t *testing.T) {
	a := typedPod("a")
	a.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	text, err := json.Marshal(map[string]any{
		"kind": "PodList", "apiVersion": "v1", "metadata": map[string]any{"resourceVersion": "7", "continue": "c"},
		"items": []any{a, a}, "zz": []any{map[string]any{"x": 1}, nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	r := &JSONReader{}
	meta, err := r.List(text, func(v fact.Value) error {
		n++
		if got := IdentityOf(v); got != wantIdentity("a") {
			t.Errorf("%+v", got)
		}
		if diff := cmp.Diff(leanPod, string(JSON(v))); diff != "" {
			t.Error(diff)
		}
		return nil
	})
	if err != nil || n != 2 || meta != (ListMeta{"7", "c"}) {
		t.Error(err, n, meta)
	}
	for _, empty := range []string{`{"items":[]}`, `{"items":null,"metadata":{}}`, `{}`} {
		if _, err := r.List([]byte(empty), func(fact.Value) error { return fmt.Errorf("an item") }); err != nil {
			t.Error(empty, err)
		}
	}
	for i := range text {
		if _, err := r.List(text[:i], func(fact.Value) error { return nil }); err == nil {
			t.Fatalf("%d of %d bytes were read as a list", i, len(text))
		}
	}
}

func TestMetadataOnly(t *testing.T) {
	partial, err := (&JSONReader{}).Object([]byte(`{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"name":"s","namespace":"n","annotations":{"x":"hidden"},"labels":{"a":"b"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"apiVersion":"v1","kind":"Secret","metadata":{"labels":{"a":"b"},"name":"s","namespace":"n"}}`
	if got := string(JSON(MetadataOnly(partial, "v1", "Secret"))); got != want {
		t.Error(got)
	}
}

func TestEvent(t *testing.T) {
	pod := typedPod("a")
	object := enveloped(t, &pod, "v1", "Pod")
	e := metav1.WatchEvent{Type: "MODIFIED"}
	e.Object.Raw = object
	frame, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	kind, got, err := Event(frame)
	if err != nil || kind != "MODIFIED" || string(got) != string(object) {
		t.Error(err, kind, len(got), len(object))
	}
	item, err := NewTypes().NewProtobufReader().Unwrap(got)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := Identify(item); err != nil || id != wantIdentity("a") {
		t.Error(err, id)
	}
}

func TestStatusCode(t *testing.T) {
	if code := StatusCode(enveloped(t, &metav1.Status{Status: "Failure", Message: "too old", Code: 410}, "v1", "Status")); code != 410 {
		t.Error(code)
	}
	if code := StatusCode([]byte("k8s\x00\x12\x05\x30")); code != 0 {
		t.Error(code)
	}
}

// FuzzAnswers feeds what an API server could answer to the readers of answers.
func FuzzAnswers(f *testing.F) {
	types := NewTypes()
	pods := &corev1.PodList{Items: []corev1.Pod{typedPod("a")}}
	f.Add(enveloped(f, pods, "v1", "PodList"))
	f.Add([]byte(`{"items":[{"metadata":{"name":"a","managedFields":[]}}],"metadata":{"continue":"x"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := types.NewProtobufReader()
		_, _ = r.Items(data, func(item []byte) error { _, err := Identify(item); return err })
		_, _, _ = Event(data)
		_ = StatusCode(data)
		_, err := (&JSONReader{}).List(data, func(v fact.Value) error {
			if !json.Valid(JSON(v)) {
				t.Errorf("%q", JSON(v))
			}
			return nil
		})
		if err == nil && !json.Valid(data) {
			t.Errorf("read as a list: %q", data)
		}
	})
}
