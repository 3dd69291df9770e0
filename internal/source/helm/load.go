package helm

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/sandbox"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/ignore"
	"sigs.k8s.io/yaml"
)

// Limits of a chart's folder.
const (
	maxFiles = 20_000
	maxDepth = 32
)

// load reads a chart through files. It also returns where files of the chart lie
// by the address of their bytes: the loader keeps those and forgets folders.
func load(files sandbox.Files, root string, packed bool) (*chart.Chart, map[*byte]string, error) {
	if packed {
		data, err := files.Read(root)
		if err != nil {
			return nil, nil, err
		}
		c, err := loader.LoadArchive(bytes.NewReader(data))
		return c, nil, err
	}
	w := &folder{files: files, root: root, rules: ignore.Empty()}
	if data, err := files.Read(path.Join(root, ignore.HelmIgnore)); err == nil {
		if w.rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", ignore.HelmIgnore, err)
		}
	}
	w.rules.AddDefaults()
	if err := w.walk("", 0); err != nil {
		return nil, nil, err
	}
	if err := w.neighbours(); err != nil {
		return nil, nil, err
	}
	places := make(map[*byte]string, len(w.found))
	for _, f := range w.found {
		if len(f.Data) > 0 {
			places[&f.Data[0]] = f.Name
		}
	}
	for at, name := range w.elsewhere {
		places[at] = name
	}
	c, err := loader.LoadFiles(w.found)
	if err == nil {
		slices.SortFunc(c.Dependencies(), func(a, b *chart.Chart) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return c, places, err
}

// folder collects the files of a chart.
type folder struct {
	files     sandbox.Files
	root      string
	rules     *ignore.Rules
	found     []*archive.BufferedFile
	elsewhere map[*byte]string // of files that belong to the chart and lie beside it
}

func (w *folder) walk(dir string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("folders nest deeper than %d", maxDepth)
	}
	entries, err := w.files.List(path.Join(w.root, dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		if w.rules.Ignore(name, info{e}) {
			continue
		}
		if e.Dir {
			if err := w.walk(name, depth+1); err != nil {
				return err
			}
			continue
		}
		if len(w.found) >= maxFiles {
			return fmt.Errorf("the chart has more than %d files", maxFiles)
		}
		data, err := w.files.Read(path.Join(w.root, name))
		if err != nil {
			return err
		}
		w.found = append(w.found, &archive.BufferedFile{Name: name, Data: bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))})
	}
	return nil
}

// neighbours adds dependencies that the chart names by the path of a folder and
// that are not in its charts folder, as `helm dependency build` would.
func (w *folder) neighbours() error {
	i := slices.IndexFunc(w.found, func(f *archive.BufferedFile) bool { return f.Name == "Chart.yaml" })
	if i < 0 {
		return nil
	}
	var meta chart.Metadata
	if yaml.Unmarshal(w.found[i].Data, &meta) != nil {
		return nil // the loader says so better
	}
	for _, d := range meta.Dependencies {
		if d == nil {
			continue
		}
		at, ok := strings.CutPrefix(d.Repository, "file://")
		has := slices.ContainsFunc(w.found, func(f *archive.BufferedFile) bool {
			return strings.HasPrefix(f.Name, "charts/"+d.Name+"/") || strings.HasPrefix(f.Name, "charts/"+d.Name+"-")
		})
		if !ok || has || path.IsAbs(at) {
			continue
		}
		n := &folder{files: w.files, root: path.Join(w.root, at), rules: ignore.Empty()}
		n.rules.AddDefaults()
		if err := n.walk("", 0); err != nil {
			if notFound(err) {
				continue
			}
			return fmt.Errorf("dependency %s: %w", d.Name, err)
		}
		w.adopt(n, at, d.Name)
	}
	return nil
}

// adopt takes the files of a neighbour as those of a subchart.
func (w *folder) adopt(n *folder, at, name string) {
	if w.elsewhere == nil {
		w.elsewhere = map[*byte]string{}
	}
	for _, f := range n.found {
		if len(f.Data) > 0 {
			w.elsewhere[&f.Data[0]] = path.Join(at, f.Name)
		}
		f.Name = path.Join("charts", name, f.Name)
		w.found = append(w.found, f)
	}
}

// info tells the rules of .helmignore what an entry is.
type info struct{ e sandbox.Entry }

func (i info) Name() string { return i.e.Name }
func (i info) Size() int64  { return 0 }
func (i info) Mode() fs.FileMode {
	if i.e.Dir {
		return fs.ModeDir
	}
	return 0
}
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.e.Dir }
func (i info) Sys() any           { return nil }
