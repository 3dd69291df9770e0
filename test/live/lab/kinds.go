package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
)

// Get asks for something in a form.
func (l *Lab) Get(t testing.TB, path, accept string) []byte {
	t.Helper()
	_, _, body := l.ask(t, http.MethodGet, path, accept, nil)
	return body
}

// DryRun has the API server take in an object without keeping it, and returns
// what it would have kept, in a form.
func (l *Lab) DryRun(t testing.TB, method, path, accept string, object []byte) (code int, contentType string, body []byte) {
	t.Helper()
	return l.ask(t, method, path+"?dryRun=All&fieldValidation=Ignore", accept, object)
}

func (l *Lab) ask(t testing.TB, method, path, accept string, object []byte) (int, string, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, l.config.Host+path, bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	if object != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := l.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode >= 400 && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/vnd.kubernetes.protobuf") {
		// A Status; its message can be read as it is.
		message := strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return -1
			}
			return r
		}, string(bytes.ToValidUTF8(out, nil)))
		out, err = json.Marshal(map[string]string{"message": message})
		if err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), out
}

// DefineAll is Define for kinds given as "group version Kind", each in the
// version named.
func (l *Lab) DefineAll(t testing.TB, kinds []string) {
	t.Helper()
	versions := map[string][]string{}
	var order []string
	for _, k := range kinds {
		f := strings.Fields(k)
		name := f[0] + " " + f[2]
		if versions[name] == nil {
			order = append(order, name)
		}
		versions[name] = append(versions[name], f[1])
	}
	var all strings.Builder
	var paths []string
	for _, name := range order {
		group, kind, _ := strings.Cut(name, " ")
		rights := source.Rights([]string{group + "/" + kind}, false)
		if len(rights) == 0 {
			continue
		}
		plural, scope := rights[0].Resource, "Namespaced"
		if fact.ClusterScoped(group, kind) {
			scope = "Cluster"
		}
		l.gone(t, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+plural+"."+group)
		fmt.Fprintf(&all, `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[3]s.%[1]s, annotations: {api-approved.kubernetes.io: "unapproved, for a test"}}
spec:
  group: %[1]s
  scope: %[4]s
  names: {kind: %[2]s, plural: %[3]s, singular: %[5]s}
  versions:
`, group, kind, plural, scope, strings.ToLower(kind))
		for i, v := range versions[name] {
			fmt.Fprintf(&all, "  - {name: %s, served: true, storage: %t, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n", v, i == 0)
			paths = append(paths, "/apis/"+group+"/"+v+"/"+plural)
		}
		t.Cleanup(func() { l.Undefine(t, group, plural) })
	}
	l.Kubectl(t, all.String(), "apply", "-f", "-")
	for _, path := range paths {
		Eventually(t, "the API server serves "+path, func() (bool, string) {
			code, body := l.Do(t, "GET", path, "", nil)
			return code == http.StatusOK, string(body)
		})
	}
}
