package helm

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// schema holds the values of a chart and its subcharts against their schemas. It
// is Helm's own check without its loaders: a schema that refers to a file or to
// the network is refused, and what is told never quotes a value.
func (r *renderer) schema(c *chart.Chart, values map[string]any, prefix string) error {
	if len(c.Schema) > 0 {
		if err := r.against(c, values, prefix); err != nil {
			return err
		}
	}
	for _, d := range c.Dependencies() {
		if below, ok := values[d.Name()].(map[string]any); ok {
			if err := r.schema(d, below, prefix+d.Name()+"."); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *renderer) against(c *chart.Chart, values map[string]any, prefix string) error {
	file := "values.schema.json"
	if name, ok := r.places[&c.Schema[0]]; ok {
		file = name
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(c.Schema))
	if err != nil {
		return &problem{Kind: "values-invalid", File: file, Message: "the chart was not rendered: its schema of values is not JSON"}
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource("file:///values.schema.json", schema); err != nil {
		return &problem{Kind: "values-invalid", File: file, Message: "the chart was not rendered: its schema of values cannot be read"}
	}
	validator, err := compiler.Compile("file:///values.schema.json")
	var outside *jsonschema.LoadURLError
	if errors.As(err, &outside) {
		return &problem{Kind: "refused", File: file, Message: "the chart was not rendered: its schema of values refers to what lies outside of it, which is not read"}
	}
	if err != nil {
		return &problem{Kind: "values-invalid", File: file, Message: "the chart was not rendered: its schema of values is none"}
	}
	var invalid *jsonschema.ValidationError
	if err := validator.Validate(copied(values)); errors.As(err, &invalid) {
		places := map[string]bool{}
		leaves(invalid, prefix, places)
		list := slices.Sorted(maps.Keys(places))
		return &problem{Kind: "values-invalid", File: file, Message: fmt.Sprintf("the chart was not rendered: its values break its schema: %s: give others with --values FILE or --set KEY=VALUE", strings.Join(list[:min(len(list), 5)], "; "))}
	}
	return nil
}

// leaves tells the keys that break a schema, and which of its rules.
func leaves(e *jsonschema.ValidationError, prefix string, out map[string]bool) {
	if len(e.Causes) == 0 {
		at := prefix + strings.Join(e.InstanceLocation, ".")
		if at == "" {
			at = "the values"
		}
		out[at+" ("+strings.Join(e.ErrorKind.KeywordPath(), ".")+")"] = true
	}
	for _, c := range e.Causes {
		leaves(c, prefix, out)
	}
}

var errReference = errors.New("a schema refers to what lies outside of it")

// noLoader loads nothing.
type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errReference }
