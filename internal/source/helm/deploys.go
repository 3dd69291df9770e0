package helm

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
)

// deploys renders the charts that GitOps objects deploy from the tree, with the
// values that they give.
func (s *Source) deploys(ctx context.Context, t *source.Tree) error {
	for _, d := range s.Rendering.Deploys {
		if d.Tree != t || !hasChart(t, d.Path) {
			continue
		}
		req := request{Root: d.Path, Set: d.Set, Release: d.Release, Space: d.Space, Minor: s.Rendering.Minor}
		if ok, err := s.valuesOf(t, d, &req); err != nil {
			return err
		} else if !ok {
			continue
		}
		if err := s.chart(ctx, t, req, d.World); err != nil {
			return err
		}
	}
	return nil
}

func hasChart(t *source.Tree, root string) bool {
	return slices.ContainsFunc(t.Items, func(i source.Item) bool { return i.Kind == source.Chart && i.Name == root })
}

// valuesOf reads the files of values that a deployment names. One that is not
// there is a gap, and it reports false.
func (s *Source) valuesOf(t *source.Tree, d source.Deploy, req *request) (bool, error) {
	files := source.NewFiles(t)
	for _, name := range d.Values {
		at := path.Join(d.Path, name)
		if strings.HasPrefix(name, "/") {
			at = strings.TrimPrefix(name, "/")
		}
		data, err := files.Read(at)
		if err != nil {
			return false, s.emit(fact.Change{Op: fact.GapOpened, Gap: fact.Gap{Kind: "values-missing", Source: Name, World: d.World, File: d.File, Pos: fact.Pos{Line: uint32(d.Line)},
				Message: "the chart was not rendered: its file of values " + t.Place(at) + " is not in what is scanned"}})
		}
		req.Values = append(req.Values, namedText{t.Place(at), data})
	}
	for _, text := range d.Inline {
		req.Values = append(req.Values, namedText{d.File, []byte(text)})
	}
	return true, nil
}
