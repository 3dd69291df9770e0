package helm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/sandbox"
	"github.com/merlon-security/merlon/internal/source"
	"helm.sh/helm/v4/pkg/chart/common"
)

// To know which key of the values feeds a block of a manifest, the chart is
// rendered from values with a mark in each map, a key that no chart has: where
// the mark comes out, all that the map holds does. What follows from that is only
// a proposal; whoever changes values renders the chart with the change.

// KeysName is the name of the child's job.
const KeysName = "helm-keys"

const (
	keyMark    = "merlonKey"
	maxKeys    = 1000
	maxRenders = 40 // in one child, where marks get in each other's way or the chart's
)

// probed is what a child has found out about the values of a chart.
type probed struct {
	Keys  []fact.ValuesKey
	Texts []text // with marks
}

// Keys is the child's job.
func Keys(input json.RawMessage, files sandbox.Files) (any, error) {
	var req request
	if err := json.Unmarshal(input, &req); err != nil {
		return nil, err
	}
	r := &renderer{req: req}
	if err := r.load(files); err != nil {
		return nil, err
	}
	values, err := r.values()
	if err != nil {
		return nil, errors.New("the values cannot be put together")
	}
	p := &prober{renderer: r, values: values, sources: templates(r.chart)}
	return p.run(), nil
}

// prober puts marks into the values of one chart.
type prober struct {
	*renderer
	values  common.Values
	sources map[string]*common.File
	renders int
	out     probed
}

func (p *prober) run() probed {
	held := p.held()
	found := map[string]fact.ValuesKey{}
	eachKey("", nil, held, func(k fact.ValuesKey) { found[strings.Join(k.Path, "\x00")] = k })
	for _, path := range p.mentioned() {
		if name := strings.Join(path, "\x00"); found[name].Path == nil && lacks(held, path) {
			found[name] = fact.ValuesKey{Path: path}
		}
	}
	var open, asked []int
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if len(p.out.Keys) == maxKeys {
			break
		}
		k := found[name]
		switch k.Kind {
		case fact.Map:
			open = append(open, len(p.out.Keys))
		case fact.Null, fact.Absent:
			asked = append(asked, len(p.out.Keys))
		}
		p.out.Keys = append(p.out.Keys, k)
	}
	p.mark(open)
	p.mark(asked)
	return p.out
}

// held returns the values that templates see.
func (p *prober) held() map[string]any {
	switch v := p.values["Values"].(type) {
	case common.Values:
		return v
	case map[string]any:
		return v
	}
	return nil
}

// eachKey tells the keys of a map and of the maps in it.
func eachKey(name string, at []string, v any, tell func(fact.ValuesKey)) {
	kind := fact.Map
	var inside map[string]any
	switch x := v.(type) {
	case nil:
		kind = fact.Null
	case bool:
		kind = fact.Bool
	case string:
		kind = fact.String
	case []any:
		kind = fact.List
	case map[string]any:
		inside = x
	case common.Values:
		inside = x
	default:
		kind = fact.Int // or another number
	}
	if name != "" {
		at = append(slices.Clip(at), name)
		tell(fact.ValuesKey{Path: at, Kind: kind})
	}
	for k, e := range inside {
		eachKey(k, at, e, tell)
	}
}

var mention = regexp.MustCompile(`\.Values((?:\.[A-Za-z_][A-Za-z0-9_]*)+)`)

// mentioned returns the keys that stand in templates, as the chart's own values
// name them.
func (p *prober) mentioned() [][]string {
	var out [][]string
	for _, name := range slices.Sorted(maps.Keys(p.sources)) {
		for _, m := range mention.FindAllSubmatch(p.sources[name].Data, -1) {
			key := string(m[1][1:])
			if !strings.HasPrefix(key+".", "global.") {
				key = valuesPrefix(name) + key
			}
			out = append(out, strings.Split(key, "."))
		}
	}
	return out
}

// lacks reports whether a key is not there and there is room for it.
func lacks(values map[string]any, path []string) bool {
	var at any = values
	for _, name := range path {
		m, ok := at.(map[string]any)
		if !ok {
			return false
		}
		if at, ok = m[name]; !ok || at == nil {
			return true
		}
	}
	return false
}

// mark renders with marks in some keys: where that fails, with half of them.
func (p *prober) mark(keys []int) {
	if len(keys) == 0 || p.renders == maxRenders {
		return
	}
	p.renders++
	values := common.Values(copied(map[string]any(p.values)).(map[string]any))
	tree, _ := values["Values"].(map[string]any)
	for _, i := range keys {
		put(tree, p.out.Keys[i].Path, keyMark+strconv.Itoa(i))
	}
	texts, err := p.execute(values)
	if err != nil {
		if n := len(keys); n > 1 {
			p.mark(keys[:n/2])
			p.mark(keys[n/2:])
		}
		return
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if f := p.sources[name]; f != nil && strings.Contains(texts[name], keyMark) {
			p.out.Texts = append(p.out.Texts, text{File: p.place(f, f.Name), Text: texts[name]})
		}
	}
}

// put sets a mark in a map of the values, which is made where it misses.
func put(at map[string]any, path []string, mark string) {
	for _, name := range path {
		next, ok := at[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[name] = next
		}
		at = next
	}
	at[mark] = "m"
}

// offer tells of a chart to whoever wants to try other values. gaps are those that
// it was rendered with.
func (s *Source) offer(t *source.Tree, req request, world string, gaps []fact.Gap) {
	s.Rendering.Charts(source.Revisable{
		World: world,
		Keys: func(ctx context.Context) ([]fact.ValuesKey, error) {
			return s.keys(ctx, t, req, world)
		},
		Render: func(ctx context.Context, values []byte) ([]*fact.Object, error) {
			with := req
			with.Values = append(slices.Clip(req.Values), namedText{"values", values})
			var objects []*fact.Object
			var seen []fact.Gap
			var out rendered
			if err := s.Rendering.Runner.Run(ctx, Name, with, source.NewFiles(t), &out); err != nil {
				return nil, fmt.Errorf("render the chart with other values: %w", err)
			}
			err := s.report(ctx, t, with, world, &out, func(c fact.Change) error {
				switch c.Op {
				case fact.Upsert:
					objects = append(objects, c.Object)
				case fact.GapOpened:
					seen = append(seen, c.Gap)
				}
				return nil
			})
			if err == nil && moreGaps(gaps, seen) {
				err = errors.New("render the chart with other values: not all of it can be read")
			}
			return objects, err
		},
	})
}

// moreGaps reports whether there are gaps that there were not before, wherever in
// their file.
func moreGaps(before, after []fact.Gap) bool {
	n := map[[2]string]int{}
	for _, g := range before {
		n[[2]string{g.Kind, g.File}]++
	}
	for _, g := range after {
		k := [2]string{g.Kind, g.File}
		if n[k]--; n[k] < 0 {
			return true
		}
	}
	return false
}

// keys has a child find the keys of a chart, and finds their marks in what it
// rendered.
func (s *Source) keys(ctx context.Context, t *source.Tree, req request, world string) ([]fact.ValuesKey, error) {
	var out probed
	if err := s.Rendering.Runner.Run(ctx, KeysName, req, source.NewFiles(t), &out); err != nil {
		return nil, fmt.Errorf("look for the values of %s: %w", world, err)
	}
	d := source.Decoder{Emit: func(c fact.Change) error {
		if c.Op == fact.Upsert {
			marks(c.Object, c.Object.Root, nil, out.Keys)
		}
		return nil
	}}
	for i := range out.Texts {
		x := &out.Texts[i]
		origin := fact.Origin{Source: Name, File: placeOf(t, req, x.File), World: world, Root: rootOf(req)}
		if _, _, err := d.Decode(ctx, strings.NewReader(x.Text), origin, nil); err != nil {
			return nil, err
		}
	}
	return out.Keys, nil
}

// marks adds to keys the maps below v in which their marks are.
func marks(o *fact.Object, v fact.Value, path []fact.Step, keys []fact.ValuesKey) {
	i := 0
	for c := range v.Children() {
		step := fact.Element(i)
		if i++; v.Kind() == fact.Map {
			name := c.Key().String()
			step = fact.Field(name)
			if number, marked := strings.CutPrefix(name, keyMark); marked {
				if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < len(keys) {
					keys[n].Outlets = append(keys[n].Outlets, fact.Outlet{Ref: o.Ref(), File: o.Origin.File, Path: path})
				}
				continue
			}
		}
		marks(o, c, append(slices.Clip(path), step), keys)
	}
}
