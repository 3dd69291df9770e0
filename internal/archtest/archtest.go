// Package archtest holds the code to the tables of ARCHITECTURE.md: who may
// import whom, which dependencies stay where, which names say nothing. It
// parses the sources itself; a test that asked `go list` would be answered from
// go's test cache.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Rules are the tables of ARCHITECTURE.md.
type Rules struct {
	allowed map[string][]string // package → what it may import; "all" for anything
	fences  map[string][]string // dependency → packages that may use it
}

// File is one Go file that is not a test.
type File struct {
	Name    string // relative to the root
	Package string // below internal/
	module  string
	ast     *ast.File
	fset    *token.FileSet
}

// ParseRules reads the two tables.
func ParseRules(text string) (Rules, error) {
	r := Rules{allowed: map[string][]string{}, fences: map[string][]string{}}
	var into map[string][]string
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || len(cells) < 2 {
			into = nil
			continue
		}
		first, last := strings.TrimSpace(cells[0]), strings.TrimSpace(cells[len(cells)-1])
		switch {
		case first == "package" && last == "may import":
			into = r.allowed
		case first == "dependency" && last == "only in":
			into = r.fences
		case into != nil && !strings.HasPrefix(first, "-"):
			for name := range strings.SplitSeq(first, ", ") {
				into[name] = names(last)
			}
		}
	}
	if len(r.allowed) == 0 {
		return r, fmt.Errorf("read rules: no table of packages")
	}
	return r, nil
}

func names(cell string) []string {
	if cell == "–" {
		return nil
	}
	return strings.Split(cell, ", ")
}

// Read parses the Go files under internal/ of a module, without tests.
func Read(root string) ([]File, error) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	module := strings.Fields(string(mod))[1]
	var out []File
	err = filepath.WalkDir(filepath.Join(root, "internal"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata") {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse %s: %w", name, err)
		}
		rel, err := filepath.Rel(root, name)
		rel = filepath.ToSlash(rel)
		out = append(out, File{Name: rel, Package: strings.TrimPrefix(path.Dir(rel), "internal/"), module: module, ast: f, fset: fset})
		return err
	})
	return out, err
}

// row returns the row that a package falls under: its own, or that of the
// nearest package above it.
func (r Rules) row(pkg string) (string, bool) {
	for p := pkg; p != "."; p = path.Dir(p) {
		if _, ok := r.allowed[p]; ok {
			return p, true
		}
	}
	return "", false
}

// Check returns every violation, one line each.
func (r Rules) Check(files []File) []string {
	var out []string
	seen := map[string]bool{}
	commented := map[string]bool{}
	imported := map[string]map[string]bool{}
	for i := range files {
		f := &files[i]
		seen[f.Package] = true
		commented[f.Package] = commented[f.Package] || f.ast.Doc != nil
		if imported[f.Package] == nil {
			imported[f.Package] = map[string]bool{}
		}
		out = append(out, r.imports(f, imported[f.Package])...)
		out = append(out, r.calls(f)...)
		out = append(out, habits(f)...)
	}
	out = append(out, mutations(files)...)
	for _, pkg := range slices.Sorted(keys(seen)) {
		if _, ok := r.row(pkg); !ok {
			out = append(out, fmt.Sprintf("%s has no row in ARCHITECTURE.md", pkg))
		}
		if !commented[pkg] {
			out = append(out, fmt.Sprintf("%s has no package comment", pkg))
		}
		if slices.Contains([]string{"util", "utils", "common", "helpers", "misc", "types", "shared", "base", "manager"}, path.Base(pkg)) {
			out = append(out, fmt.Sprintf("%s: the name says nothing", pkg))
		}
		if isPlug(path.Dir(pkg)) && !imported["builtin"][pkg] {
			out = append(out, fmt.Sprintf("%s is not listed in builtin", pkg))
		}
	}
	for _, row := range slices.Sorted(keys(r.allowed)) {
		if !seen[row] {
			out = append(out, fmt.Sprintf("ARCHITECTURE.md has a row for %s, which is no package", row))
		}
	}
	return out
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (r Rules) imports(f *File, imported map[string]bool) []string {
	var out []string
	row, ok := r.row(f.Package)
	for _, spec := range f.ast.Imports {
		name := strings.Trim(spec.Path.Value, `"`)
		if target, own := strings.CutPrefix(name, f.module+"/internal/"); own {
			imported[target] = true
			if ok && !r.may(row, f.Package, target) {
				out = append(out, fmt.Sprintf("%s: %s may not import %s", f.Name, f.Package, target))
			}
			continue
		}
		for dependency, homes := range r.fences {
			if (name == dependency || strings.HasPrefix(name, dependency+"/")) && !within(f.Package, homes) {
				out = append(out, fmt.Sprintf("%s: %s is fenced, only in %s", f.Name, dependency, strings.Join(homes, ", ")))
			}
		}
	}
	return out
}

// may reports whether a package under a row may import a target. A package
// below a row may import the package of the row itself; siblings are strangers;
// implementations of plugs are for builtin alone.
func (r Rules) may(row, pkg, target string) bool {
	allowed := r.allowed[row]
	if isPlug(path.Dir(target)) {
		return pkg == "builtin" && slices.Contains(allowed, path.Dir(target))
	}
	return target == row && pkg != row || slices.Contains(allowed, "all") || slices.Contains(allowed, target)
}

// isPlug reports whether packages below a family are implementations, which
// only builtin may name.
func isPlug(family string) bool {
	return slices.Contains([]string{"source", "sink", "gate", "store"}, family)
}

func within(pkg string, homes []string) bool {
	return slices.ContainsFunc(homes, func(h string) bool { return pkg == h || strings.HasPrefix(pkg, h+"/") })
}

// calls finds uses of fenced functions, such as time.Now.
func (r Rules) calls(f *File) []string {
	var out []string
	ast.Inspect(f.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok {
			name := id.Name + "." + sel.Sel.Name
			if homes, fenced := r.fences[name]; fenced && !within(f.Package, homes) {
				out = append(out, fmt.Sprintf("%s: %s is fenced, only in %s", f.fset.Position(sel.Pos()), name, strings.Join(homes, ", ")))
			}
		}
		return true
	})
	return out
}

func habits(f *File) []string {
	var out []string
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "init" && fn.Recv == nil {
			out = append(out, fmt.Sprintf("%s: init() runs for everyone; make it explicit", f.fset.Position(fn.Pos())))
		}
	}
	return out
}

// mutations finds package variables that the package changes after they are
// made: assigned, counted, their elements set, their address taken.
func mutations(files []File) []string {
	vars := map[string]map[string]bool{}
	for _, f := range files {
		for _, d := range f.ast.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				for _, n := range s.(*ast.ValueSpec).Names {
					if vars[f.Package] == nil {
						vars[f.Package] = map[string]bool{}
					}
					vars[f.Package][n.Name] = true
				}
			}
		}
	}
	var out []string
	for i := range files {
		out = append(out, changes(&files[i], vars[files[i].Package])...)
	}
	return out
}

func changes(f *File, vars map[string]bool) []string {
	var out []string
	for _, d := range f.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		local := declared(fn)
		check := func(e ast.Expr, pos token.Pos) {
			if name := rootOf(e); vars[name] && !local[name] {
				out = append(out, fmt.Sprintf("%s: package variable %s is changed", f.fset.Position(pos), name))
			}
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.AssignStmt:
				if x.Tok != token.DEFINE {
					for _, e := range x.Lhs {
						check(e, x.Pos())
					}
				}
			case *ast.IncDecStmt:
				check(x.X, x.Pos())
			case *ast.UnaryExpr:
				if id, ok := x.X.(*ast.Ident); ok && x.Op == token.AND {
					check(id, x.Pos())
				}
			}
			return true
		})
	}
	return out
}

// declared returns the names that a function binds, which hide package
// variables of the same name.
func declared(fn *ast.FuncDecl) map[string]bool {
	out := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.AssignStmt:
			if x.Tok == token.DEFINE {
				for _, e := range x.Lhs {
					out[rootOf(e)] = true
				}
			}
		case *ast.Field:
			for _, id := range x.Names {
				out[id.Name] = true
			}
		case *ast.ValueSpec:
			for _, id := range x.Names {
				out[id.Name] = true
			}
		case *ast.RangeStmt:
			if x.Tok == token.DEFINE {
				out[rootOf(x.Key)] = true
				out[rootOf(x.Value)] = true
			}
		}
		return true
	})
	return out
}

func rootOf(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x.Name
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return ""
		}
	}
}
