package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/remedy"
	"github.com/merlon-security/merlon/internal/sandbox"
	"github.com/merlon-security/merlon/internal/sink"
)

// chartValues is the JSON form of values that mend what a chart renders.
type chartValues struct {
	Chart string       `json:"chart"`
	YAML  string       `json:"yaml"`
	Fixes []remedy.Fix `json:"fixes"`
}

func valuesOf(plan *remedy.Plan) []chartValues {
	var out []chartValues
	for _, v := range plan.Values {
		out = append(out, chartValues{v.World, shownValues(v.YAML), v.Fixes})
	}
	return out
}

// shownValues are values as they may be shown: without secrets, which a list that
// a fix adds to could hold.
func shownValues(yaml []byte) string {
	hidden := delicate(yaml)
	var b strings.Builder
	n := 0
	for line := range strings.Lines(string(yaml)) {
		if n++; hidden[n] || unsafeLine(line) {
			line = "‹a line that holds a secret›\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

// writeValues writes the values alone, as a file for --values; those of several
// charts as documents of one.
func writeValues(w io.Writer, plan *remedy.Plan) error {
	for i, v := range plan.Values {
		if i > 0 {
			if _, err := io.WriteString(w, "---\n"); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(w, "# %s: %s\n%s", sink.Text(v.World), plural(len(v.Fixes), "finding"), shownValues(v.YAML)); err != nil {
			return err
		}
	}
	return nil
}

// tellValues tells which values mend what charts render, as comments.
func tellValues(say func(string, ...any), plan *remedy.Plan) {
	for _, v := range plan.Values {
		say("values: %s of %s fixed by these, proven by rendering it with them; merge them into its values, or give them with --values:", plural(len(v.Fixes), "finding"), sink.Text(v.World))
		for line := range strings.Lines(shownValues(v.YAML)) {
			say("  %s", strings.TrimSuffix(line, "\n"))
		}
		for i := range v.Fixes {
			f := &v.Fixes[i].Finding
			say("fixes %s %s at %s (%s)", f.Severity, f.Control, sink.Place(f.Location), sink.Text(objectName(f)))
		}
	}
}

// maxTrying is how long values may be tried for one chart. Nothing that is meant
// well comes near; a chart that is slow on purpose shall not hold up the rest.
const maxTrying = 2 * time.Minute

// charts returns the charts that were rendered, to be rendered with other values.
// One that runs into a limit is not tried again.
func (x *fixer) charts(ctx context.Context) []remedy.Chart {
	var out []remedy.Chart
	for _, c := range x.read.charts {
		var spent time.Duration
		out = append(out, remedy.Chart{
			World: c.World,
			Keys:  func() ([]fact.ValuesKey, error) { return c.Keys(ctx) },
			Render: func(values []byte) ([]*fact.Object, error) {
				if spent > maxTrying {
					return nil, errors.New("the chart takes too long")
				}
				began := time.Now()
				objects, err := c.Render(ctx, values)
				spent += time.Since(began)
				var failure *sandbox.Failure
				if errors.As(err, &failure) {
					spent = maxTrying + 1
				}
				return objects, err
			},
		})
	}
	return out
}
