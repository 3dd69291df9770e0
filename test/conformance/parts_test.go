package main

import (
	"testing"
	"testing/fstest"

	"github.com/merlon-security/merlon/internal/finding"
)

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		a, b        string
		form, place bool
	}{
		{"spec.containers[0].image", "spec.containers[0].image", true, true},
		{"spec.containers[0].image", "spec.containers[1].image", true, false},
		{"spec.containers[0]", "spec.containers[0].image", true, true},
		{"spec.containers[0].image", "spec.initContainers[0].image", false, false},
		{"spec.volumes", "spec.volumes[3].hostPath", true, true},
		{"data[KEY]", "data.KEY", true, true},
		{"metadata.annotations['a.b/c']", `metadata.annotations["a.b/c"]`, true, true},
		{"spec", "spec.hostPID", true, true},
	} {
		a, b := parsePath(c.a), parsePath(c.b)
		if got := sameForm(a, b); got != c.form {
			t.Errorf("%s and %s: same form %v", c.a, c.b, got)
		}
		if got := samePlace(a, b); c.form && got != c.place {
			t.Errorf("%s and %s: same place %v", c.a, c.b, got)
		}
	}
}

func TestByPosition(t *testing.T) {
	in, err := read([]document{{"f", []byte(`
apiVersion: v1
kind: Pod
metadata: {name: p, annotations: {a.b/c: d}}
spec:
  containers:
  - {name: a, image: x}
  - {name: app.1, image: y, ports: [{containerPort: 80}]}
  - {name: twin, image: z}
  - {name: twin, image: z}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	root := in.objects()[0].Root
	for shown, want := range map[string]string{
		"spec.containers[a].image":                    "spec.containers[0].image",
		"spec.containers[app.1].ports[80]":            "spec.containers[1].ports[0]",
		"spec.containers[app.1].securityContext.user": "spec.containers[1].securityContext.user",
		`metadata.annotations["a.b/c"]`:               `metadata.annotations["a.b/c"]`,
		"spec.hostPID":                                "spec.hostPID",
		"":                                            "",
	} {
		if got := byPosition(root, shown, finding.Location{}); got != want {
			t.Errorf("%s is at %s, want %s", shown, got, want)
		}
	}
	// Elements that share a name are shown by position, each at its own place.
	for _, twin := range []string{"spec.containers[2].image", "spec.containers[3].image"} {
		if got := byPosition(root, twin, finding.Location{}); got != twin {
			t.Errorf("%s is at %s", twin, got)
		}
	}
}

func TestParseObject(t *testing.T) {
	for text, want := range map[string]wantedObject{
		"apps/v1/Deployment//d":              {kind: "Deployment", name: "d"},
		"v1/Pod/n/p":                         {kind: "Pod", namespace: "n", name: "p"},
		"external:/User/jane":                {kind: "User", name: "jane"},
		"external:v1/Service/":               {kind: "Service"},
		"external:eks.amazonaws.com/v1/Foo/": {kind: "Foo"},
		"external":                           {},
	} {
		if got := parseObject(text); got != want {
			t.Errorf("%s is %+v, want %+v", text, got, want)
		}
	}
}

func TestLoadTable(t *testing.T) {
	files := fstest.MapFS{
		"demo-tests.tsv": {Data: []byte("a\tx/own\n")},
		"demo-one.tsv":   {Data: []byte("# c\n\na\tx/one\nb\tx/b, x/c\tkinds=Pod,apps/Deployment;first;minor=30\tnote\nb\tx/d\n")},
		"demo-two.tsv":   {Data: []byte("c\tx/two\tnonsense=1\nd\nb\tx/again\ne\tx/e\tparam.p={\nf\t\n")},
		"other.tsv":      {Data: []byte("z\tx/z\n")},
	}
	table, err := loadTable(files, "demo-tests", "demo")
	if rows := table.rows("a"); len(rows) != 1 || rows[0].controls[0] != "x/own" {
		t.Errorf("a is %+v, want the oracle's own row", rows)
	}
	b := table.rows("b")
	if len(b) != 2 || len(b[0].controls) != 2 || !b[0].options.first || b[0].options.minor != 30 || len(b[0].options.kinds) != 2 || b[0].note != "note" {
		t.Errorf("b is %+v", b)
	}
	if table.rows("z") != nil {
		t.Error("a file of another family was read")
	}
	want := "demo-two.tsv:1: unknown option \"nonsense\"\n" +
		"demo-two.tsv:2: a row is: check, tab, controls, tab, options, tab, note\n" +
		"demo-two.tsv:4: param.p={ is not JSON: unexpected end of JSON input\n" +
		"demo-two.tsv:5: no control named; `-` says that there is none\n" +
		"demo-two.tsv:3: b is in demo-one.tsv too"
	if err == nil || err.Error() != want {
		t.Errorf("problems are\n%v\nwant\n%s", err, want)
	}
}

func TestGoFields(t *testing.T) {
	got := goFields("MinReplicasHPA: 2, IgnoreCPU: true, Off: false, EnabledOptionalTests: structMap,")
	if len(got) != 4 || got["MinReplicasHPA"] != 2.0 || got["IgnoreCPU"] != true || got["Off"] != false || got["EnabledOptionalTests"] != true {
		t.Errorf("fields are %v", got)
	}
	o := options{when: []string{"IgnoreCPU"}, unless: []string{"Off"}}
	if !o.holds(setting{values: got}) {
		t.Error("a row for IgnoreCPU and without Off does not hold")
	}
}

func TestMinors(t *testing.T) {
	got, err := minorsOf([]string{"v1.8", "v1.11"})
	if err != nil || len(got) != 4 || got[0] != 8 || got[3] != 11 {
		t.Errorf("minors are %v, %v", got, err)
	}
	if _, err := minorsOf([]string{"latest"}); err == nil {
		t.Error("latest is taken for a version")
	}
}
