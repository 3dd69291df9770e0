package rbac_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// parse reads objects of a text.
func parse(t testing.TB, text string) []*fact.Object {
	t.Helper()
	var out []*fact.Object
	docs := yamldoc.NewReader(strings.NewReader(text), "objects.yaml", yamldoc.Limits{})
	for {
		doc, err := docs.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := fact.NewObject(doc.Root, fact.Origin{Source: "test", File: "objects.yaml", Doc: doc.Index}); ok {
			out = append(out, &o)
		}
	}
}

// TestSituations asks the questions of each file of testdata about its objects:
// one a line, `SUBJECT | VERB RESOURCE [NAME] [in NAMESPACE] [where FIELDS] | yes`,
// or `who | … | SUBJECT, SUBJECT` without system:masters.
func TestSituations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no situations", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			x := rbac.New(parse(t, string(a.Files[0].Data)))
			for i, line := range strings.Split(strings.TrimSpace(string(a.Files[1].Data)), "\n") {
				parts := strings.Split(line, "|")
				if len(parts) != 3 {
					t.Fatalf("question %d: %q", i+1, line)
				}
				who, q, want := strings.TrimSpace(parts[0]), question(t, strings.Fields(parts[1])), strings.TrimSpace(parts[2])
				if got := answer(t, x, who, q); got != want {
					t.Errorf("%s: %s", line, got)
				}
			}
		})
	}
}

func question(t *testing.T, words []string) rbac.Request {
	t.Helper()
	q, err := rbac.ParseRequest(words[0], words[1])
	if err != nil {
		t.Fatal(err)
	}
	for i := 2; i < len(words); i++ {
		switch words[i] {
		case "in":
			i++
			q.Namespace = words[i]
		case "where":
			i++
			q.Fields = words[i]
		default:
			q.Name = words[i]
		}
	}
	return q
}

func answer(t *testing.T, x *rbac.Index, who string, q rbac.Request) string {
	t.Helper()
	if who == "who" {
		var out []string
		for _, g := range x.Who(q) {
			if !rbac.Builtin(g.Binding) && g.Subject.Name != rbac.Masters && !slices.Contains(out, g.Subject.String()) {
				out = append(out, g.Subject.String())
			}
		}
		return strings.Join(out, ", ")
	}
	s, err := rbac.ParseSubject(who)
	if err != nil {
		t.Fatal(err)
	}
	can := x.Can(s.User(), q)
	if why := len(x.Why(s.User(), q)) > 0; why != can {
		t.Errorf("can %t, reasons %t", can, why)
	}
	if can {
		return "yes"
	}
	return "no"
}

// TestApply holds an index after many single changes against one made anew.
func TestApply(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	word := func(prefix string, n int) string { return fmt.Sprint(prefix, r.IntN(n)) }
	object := func() *fact.Object {
		text := ""
		const v1 = "apiVersion: rbac.authorization.k8s.io/v1\n"
		rules := fmt.Sprintf("rules: [{apiGroups: [''], resources: [%s, %s], verbs: [%s]}]\n", word("r", 5), word("r", 5), word("v", 4))
		subject := fmt.Sprintf("subjects: [{kind: User, name: %s}, {kind: ServiceAccount, name: %s, namespace: %s}]\n", word("u", 5), word("s", 3), word("ns", 3))
		switch r.IntN(7) {
		case 0:
			if r.IntN(4) == 0 {
				rules = "rules:\n" + strings.Repeat("- {apiGroups: [''], resources: [r0], resourceNames: [x], verbs: [v0]}\n", 20) + "- {apiGroups: ['*'], resources: ['*', r1], verbs: ['*']}\n"
			}
			text = v1 + "kind: ClusterRole\nmetadata: {name: " + word("c", 8) + ", labels: {part: " + word("p", 2) + "}}\n" + rules
		case 1:
			text = v1 + "kind: ClusterRole\nmetadata: {name: " + word("c", 8) + "}\naggregationRule: {clusterRoleSelectors: [{matchLabels: {part: " + word("p", 2) + "}}]}\nrules: []\n"
		case 2:
			text = v1 + "kind: Role\nmetadata: {name: " + word("o", 4) + ", namespace: " + word("ns", 3) + "}\n" + rules
		case 3, 4:
			text = v1 + "kind: RoleBinding\nmetadata: {name: " + word("b", 6) + ", namespace: " + word("ns", 3) + "}\nroleRef: {kind: " + []string{"Role", "ClusterRole"}[r.IntN(2)] + ", name: " + []string{word("o", 4), word("c", 8)}[r.IntN(2)] + "}\n" + subject
		case 5:
			text = v1 + "kind: ClusterRoleBinding\nmetadata: {name: " + word("b", 6) + "}\nroleRef: {kind: ClusterRole, name: " + word("c", 8) + "}\n" + subject
		default:
			text = "apiVersion: v1\nkind: Pod\nmetadata: {name: " + word("p", 4) + ", namespace: " + word("ns", 3) + "}\nspec: {nodeName: " + word("n", 3) + ", containers: [{name: c, envFrom: [{secretRef: {name: " + word("x", 3) + "}}]}]}\n"
		}
		o := parse(t, text)[0]
		o.Origin.Doc = r.IntN(2) // sometimes two of one name
		return o
	}
	x, s := rbac.Anew(nil), &fact.Snapshot{}
	for i := range 1500 {
		var c []fact.Change // most often one
		for {
			if objects := s.Objects(); r.IntN(3) == 0 && len(objects) > len(c) {
				c = append(c, fact.Change{Op: fact.Delete, Object: objects[r.IntN(len(objects))]})
			} else {
				c = append(c, fact.Change{Op: fact.Upsert, Object: object()})
			}
			if r.IntN(4) > 0 {
				break
			}
		}
		var before []string
		if i%50 == 0 {
			before = everything(x)
		}
		n := x.Apply(c...)
		if i%50 == 0 {
			if diff := cmp.Diff(before, everything(x)); diff != "" {
				t.Fatalf("the index before the change has changed: %s", diff)
			}
		}
		x, s = n, s.Apply(c...)
		if i%25 == 0 {
			want := everything(rbac.Anew(s.Objects()))
			if diff := cmp.Diff(want, everything(x)); diff != "" {
				t.Fatalf("after %d changes (- anew, + applied): %s", i, diff)
			}
			few := s.Objects()[:min(len(s.Objects()), 20)]
			if diff := cmp.Diff(everything(rbac.Anew(few)), everything(rbac.New(few))); diff != "" {
				t.Fatalf("after %d changes (- anew, + from the built-in ones): %s", i, diff)
			}
		}
	}
}

// everything lists all that an index grants beyond what every cluster does.
func everything(x *rbac.Index) []string {
	var out []string
	for _, s := range x.Given() {
		for _, g := range x.Show(s.User()) {
			if g.Binding != nil && !rbac.Builtin(g.Binding) {
				out = append(out, fmt.Sprintf("%s %s %s/%s %s %x", s, g.Subject, g.Namespace, g.Binding.Name, g.Role.Name, g.Rule.Hash()))
			}
		}
	}
	for _, o := range x.Dangling() {
		out = append(out, fmt.Sprint("dangling ", o.Kind, o.Namespace, o.Name, o.Origin.Doc))
	}
	for _, verb := range []string{"v0", "v1"} {
		for _, ns := range []string{"", "ns0", "ns1"} {
			for _, resource := range []string{"r0", "r1", "r2"} {
				q := rbac.Request{Verb: verb, Resource: resource, Namespace: ns}
				var list strings.Builder // in order
				for _, g := range append(x.Who(q), x.Why(rbac.User{Name: "u1", Groups: []string{"g"}}, q)...) {
					fmt.Fprint(&list, g.Subject, g.Namespace, " ", g.By)
					if g.Binding != nil {
						fmt.Fprintf(&list, "%s %d %s %x", g.Binding.Name, g.Binding.Origin.Doc, g.From.Name, g.Rule.Hash())
					}
				}
				out = append(out, fmt.Sprint(q, list.String()))
			}
		}
	}
	for n := range 3 {
		for ns := range 3 {
			for name := range 3 {
				q := rbac.Request{Verb: "get", Resource: "secrets", Namespace: fmt.Sprint("ns", ns), Name: fmt.Sprint("x", name)}
				u := rbac.Subject{Kind: rbac.UserKind, Name: fmt.Sprint("system:node:n", n)}.User()
				out = append(out, fmt.Sprint(u.Name, q, x.Can(u, q)))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestLargeRole answers for a role of 100,000 rules without reading them all.
func TestLargeRole(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: large}\nrules:\n")
	for i := range 100_000 {
		fmt.Fprintf(&b, "- {apiGroups: [''], resources: [secrets], resourceNames: [s%d], verbs: [get]}\n", i)
	}
	b.WriteString("---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: large}\nroleRef: {kind: ClusterRole, name: large}\nsubjects: [{kind: User, name: jane}]\n")
	x := rbac.New(parse(t, b.String()))
	jane := rbac.Subject{Kind: rbac.UserKind, Name: "jane"}.User()
	for i := range 100_000 {
		if !x.Can(jane, rbac.Request{Verb: "get", Resource: "secrets", Name: fmt.Sprint("s", i), Namespace: "a"}) {
			t.Fatalf("s%d", i)
		}
	}
	if x.Can(jane, rbac.Request{Verb: "get", Resource: "secrets", Namespace: "a"}) || x.Can(jane, rbac.Request{Verb: "list", Resource: "secrets", Name: "s1"}) {
		t.Error("more than the rules grant")
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"jane": "user jane", "user jane": "user jane", "group:devs": "group:devs", "group devs": "group:devs", "sa a/b": "sa a/b",
		"system:serviceaccount:a:b": "sa a/b", "sa a": "", "sa /b": "", "group:": "", "": "", "user system:masters": "user system:masters",
		"https://idp.example.com#jane\u00e9 x": "user https://idp.example.com#jane\u00e9 x",
	} {
		got, err := rbac.ParseSubject(in)
		if err != nil {
			got = rbac.Subject{}
		}
		if s := got.String(); s != want && !(want == "" && err != nil) {
			t.Errorf("%q: %s, want %q", in, s, want)
		}
	}
	for in, want := range map[string]string{
		"deployments": "get deployments.apps", "pods/exec": "get pods/exec", "widgets.example.com/scale": "get widgets.example.com/scale",
		"events": "get events", "roles": "get roles.rbac.authorization.k8s.io", "*.*": "get *.*", "/metrics": "get /metrics", "pods.": "get pods", "widgets": "error", "": "error", "/": "get /",
	} {
		q, err := rbac.ParseRequest("get", in)
		got := q.String()
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
