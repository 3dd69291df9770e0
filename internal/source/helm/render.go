package helm

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/sandbox"
	"github.com/merlon-security/merlon/internal/secrets"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	"helm.sh/helm/v4/pkg/strvals"
)

// request is what the child is asked to render.
type request struct {
	Root    string // of the chart, relative to the tree; or the packed chart
	Archive bool
	Values  []namedText // later ones over earlier
	Set     []string    // over those
	Release string
	Space   string
	Minor   int
}

type namedText struct {
	Name string
	Data []byte
}

// rendered is what came out.
type rendered struct {
	Texts    []text
	Problems []problem
}

// text is one template's output, or a CRD.
type text struct {
	File  string // relative to the chart's root
	Text  string
	Lines []line
}

// line says where a line of the output comes from.
type line struct {
	Line, Template uint32
	Values         string `json:",omitempty"`
}

// problem is something that keeps the chart, or a part of it, from being
// rendered as it would be in a cluster.
type problem struct {
	Kind, File, Message string
	Line                int
}

func (p *problem) Error() string { return p.Message }

// Render is the child's job: it loads a chart and renders it as `helm template
// --include-crds` does.
func Render(input json.RawMessage, files sandbox.Files) (any, error) {
	var req request
	if err := json.Unmarshal(input, &req); err != nil {
		return nil, err
	}
	r := &renderer{req: req}
	out, err := r.run(files)
	var p *problem
	if errors.As(err, &p) {
		out, err = rendered{Problems: append(r.problems, *p)}, nil
	}
	for i := range out.Problems {
		out.Problems[i].Message = r.masked(out.Problems[i].Message)
	}
	return out, err
}

// minSecret is the length below which a value is too common a text to look for.
const minSecret = 4

// masked takes out of a message what the chart's values hold under names that
// say secret: charts quote values when they complain.
func (r *renderer) masked(message string) string {
	found := map[string]bool{}
	var visit func(name string, v any)
	visit = func(name string, v any) {
		switch x := v.(type) {
		case map[string]any:
			for k, e := range x {
				visit(k, e)
			}
		case common.Values:
			visit(name, map[string]any(x))
		case []any:
			for _, e := range x {
				visit(name, e)
			}
		case string:
			if len(x) >= minSecret && secrets.SaysSecret(name) {
				found[x] = true
			}
		}
	}
	visit("", r.seen)
	longest := slices.SortedFunc(maps.Keys(found), func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	for _, v := range longest {
		message = strings.ReplaceAll(message, v, secrets.Redact(v))
	}
	return message
}

// renderer renders one chart.
type renderer struct {
	req      request
	chart    *chart.Chart
	places   map[*byte]string // of templates, by where their bytes lie
	calls    map[string]bool  // functions that were called and answer nothing here
	missing  string           // what `required` last said
	refused  string           // what `fail` last said
	problems []problem
	seen     map[string]any // values, as far as they could be put together
}

func (r *renderer) run(files sandbox.Files) (rendered, error) {
	if err := r.load(files); err != nil {
		return rendered{}, err
	}
	if r.chart.Metadata.Type == "library" {
		return rendered{}, nil // it renders nothing by itself
	}
	values, err := r.values()
	if err != nil {
		return rendered{}, err
	}
	sources := templates(r.chart)
	texts, err := r.execute(values)
	if err != nil {
		return rendered{}, r.explain(err, sources)
	}
	out := rendered{Texts: r.traced(texts, values, sources)}
	for _, crd := range r.chart.CRDObjects() {
		name := r.place(crd.File, path.Join("crds", path.Base(crd.Name)))
		out.Texts = append(out.Texts, text{File: name, Text: string(crd.File.Data), Lines: same(crd.File.Data)})
	}
	r.silent(sources)
	out.Problems = r.problems
	return out, nil
}

// load reads the chart and the dependencies that it names.
func (r *renderer) load(files sandbox.Files) error {
	var err error
	if r.chart, r.places, err = load(files, r.req.Root, r.req.Archive); err != nil {
		return &problem{Kind: "render-failed", File: "Chart.yaml", Message: "the chart cannot be loaded: " + err.Error()}
	}
	var missing []string
	for _, d := range r.chart.Metadata.Dependencies {
		if !slices.ContainsFunc(r.chart.Dependencies(), func(c *chart.Chart) bool { return c.Name() == d.Name }) {
			missing = append(missing, d.Name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		r.problems = append(r.problems, problem{Kind: "dependency-missing", File: "Chart.yaml", Message: "the chart depends on " + strings.Join(slices.Compact(missing), ", ") +
			", which its charts folder does not have, and is rendered without: run 'helm dependency build' before the scan"})
	}
	return nil
}

// values puts together what templates see.
func (r *renderer) values() (common.Values, error) {
	given := map[string]any{}
	for _, v := range r.req.Values {
		m, err := loader.LoadValues(bytes.NewReader(v.Data))
		if err != nil {
			return nil, &problem{Kind: "values-invalid", File: "Chart.yaml", Message: "the chart was not rendered: " + v.Name + " holds no values"}
		}
		given = loader.MergeMaps(given, m)
	}
	for _, set := range r.req.Set {
		if err := strvals.ParseInto(set, given); err != nil {
			return nil, &problem{Kind: "values-invalid", File: "Chart.yaml", Message: "the chart was not rendered: a value of the command line cannot be set"}
		}
	}
	r.seen = map[string]any{"chart": r.chart.Values, "given": given}
	if err := chartutil.ProcessDependencies(r.chart, given); err != nil {
		return nil, &problem{Kind: "render-failed", File: "Chart.yaml", Message: "the chart's dependencies cannot be worked out: " + err.Error()}
	}
	caps := common.DefaultCapabilities.Copy()
	if kv, err := common.ParseKubeVersion(fmt.Sprintf("v1.%d.0", r.req.Minor)); err == nil && r.req.Minor > 0 {
		caps.KubeVersion = *kv
	}
	if want := r.chart.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, caps.KubeVersion.String()) {
		return nil, &problem{Kind: "render-failed", File: "Chart.yaml", Message: fmt.Sprintf("the chart was not rendered: it wants Kubernetes %s, not %s: see --k8s-version", want, caps.KubeVersion.String())}
	}
	release := common.ReleaseOptions{Name: r.req.Release, Namespace: r.req.Space, Revision: 1, IsInstall: true}
	if release.Name == "" {
		release.Name = "release-name" // as `helm template` has it
	}
	if release.Namespace == "" {
		release.Namespace = "default"
	}
	values, err := util.ToRenderValuesWithSchemaValidation(r.chart, given, release, caps, true)
	if err != nil {
		return nil, &problem{Kind: "values-invalid", File: "values.yaml", Message: "the chart was not rendered: its values cannot be put together: " + err.Error()}
	}
	vals, _ := values["Values"].(common.Values)
	if vals == nil {
		m, _ := values["Values"].(map[string]any)
		vals = m
	}
	r.seen["all"] = map[string]any(vals)
	return values, r.schema(r.chart, vals, "")
}

// execute renders with functions that cannot look outside. It works on a copy of
// the values, for templates can change them.
func (r *renderer) execute(values common.Values) (map[string]string, error) {
	r.calls = map[string]bool{}
	functions := predictable()
	maps.Copy(functions, map[string]any{
		"lookup": func(string, string, string, string) map[string]any {
			r.calls["lookup"] = true
			return map[string]any{}
		},
		"getHostByName": func(string) string {
			r.calls["getHostByName"] = true
			return ""
		},
		"required": func(message string, v any) (any, error) {
			if s, isString := v.(string); v == nil || isString && s == "" {
				r.missing = message
				return nil, errors.New("HELM_ERR_START" + message + "HELM_ERR_END")
			}
			return v, nil
		},
		"fail": func(message string) (string, error) {
			r.refused = message
			return "", errors.New("HELM_ERR_START" + message + "HELM_ERR_END")
		},
		traceFunc: mark,
	})
	e := engine.Engine{CustomTemplateFuncs: functions}
	return e.RenderWithContext(context.Background(), r.chart, copied(map[string]any(values)).(map[string]any))
}

// predictable returns the functions of time and chance with answers that are the
// same each time, so that the same chart gives the same report.
func predictable() map[string]any {
	chance := rand.New(rand.NewPCG(1, 2))
	from := func(letters string) func(int) string {
		return func(n int) string {
			out := make([]byte, max(0, min(n, 1<<20)))
			for i := range out {
				out[i] = letters[chance.IntN(len(letters))]
			}
			return string(out)
		}
	}
	const lower, digits = "abcdefghijklmnopqrstuvwxyz", "0123456789"
	hex := from(digits + "abcdef")
	return map[string]any{
		"now":          func() time.Time { return time.Unix(0, 0).UTC() },
		"randAlphaNum": from(lower + strings.ToUpper(lower) + digits),
		"randAlpha":    from(lower + strings.ToUpper(lower)),
		"randNumeric":  from(digits),
		"randAscii":    from(lower + strings.ToUpper(lower) + digits + "!#$%&()*+,-./:;<=>?@[]^_{|}~"),
		"randBytes":    func(n int) string { return base64.StdEncoding.EncodeToString([]byte(from(lower + digits)(n))) },
		"randInt":      func(low, high int) int { return low + chance.IntN(max(1, high-low)) },
		"uuidv4":       func() string { return hex(8) + "-" + hex(4) + "-4" + hex(3) + "-8" + hex(3) + "-" + hex(12) },
	}
}

// copied copies maps and lists all the way down.
func copied(v any) any {
	switch x := v.(type) {
	case common.Values:
		return copied(map[string]any(x))
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[k] = copied(e)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = copied(e)
		}
		return out
	}
	return v
}

// where finds the first place of a template in an error of the engine.
var where = regexp.MustCompile(`([A-Za-z0-9_.+@/-]+/templates/[^\s:()]+):(\d+)`)

// explain turns an error of the engine into a problem with a place.
func (r *renderer) explain(err error, sources map[string]*common.File) error {
	p := &problem{Kind: "render-failed", File: "Chart.yaml", Message: "the chart was not rendered: " + err.Error()}
	if m := where.FindStringSubmatch(err.Error()); m != nil {
		if f, ok := sources[m[1]]; ok {
			p.File = r.place(f, f.Name)
			p.Line, _ = strconv.Atoi(m[2])
		}
	}
	if r.refused != "" && strings.Contains(err.Error(), r.refused) {
		p.Kind = "values-invalid"
		p.Message = "the chart was not rendered, it refuses its values: " + r.refused + ": give others with --values FILE or --set KEY=VALUE"
	}
	if r.missing != "" && strings.Contains(err.Error(), r.missing) {
		p.Kind = "values-missing"
		p.Message = "the chart was not rendered, it needs a value: " + r.missing + ": give it with --values FILE or --set KEY=VALUE"
	}
	return p
}

// silent tells calls that answer nothing here, by every place in the templates
// where the function stands.
func (r *renderer) silent(sources map[string]*common.File) {
	what := map[string]string{
		"lookup":        "asks the cluster with lookup; it was rendered as 'helm template' does, as if nothing were there",
		"getHostByName": "asks DNS with getHostByName; it was rendered without an answer",
	}
	for _, name := range slices.Sorted(maps.Keys(r.calls)) {
		for _, full := range slices.Sorted(maps.Keys(sources)) {
			f := sources[full]
			if at := calledAt(string(f.Data), name); at > 0 {
				r.problems = append(r.problems, problem{Kind: "not-asked", File: r.place(f, f.Name), Line: at, Message: "the template " + what[name]})
			}
		}
	}
}

// place returns where a file of the chart or of a subchart lies below the
// chart's root.
func (r *renderer) place(f *common.File, otherwise string) string {
	if len(f.Data) > 0 {
		if name, ok := r.places[&f.Data[0]]; ok {
			return name
		}
	}
	return otherwise
}

// templates returns the templates of a chart and its subcharts by the names that
// the engine gives them.
func templates(c *chart.Chart) map[string]*common.File {
	out := map[string]*common.File{}
	var visit func(c *chart.Chart)
	visit = func(c *chart.Chart) {
		for _, f := range c.Templates {
			out[path.Join(c.ChartFullPath(), f.Name)] = f
		}
		for _, d := range c.Dependencies() {
			visit(d)
		}
	}
	visit(c)
	return out
}

// notFound says that a folder or file is not there.
func notFound(err error) bool { return errors.Is(err, fs.ErrNotExist) }
