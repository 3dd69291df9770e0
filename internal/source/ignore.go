package source

import (
	"bufio"
	"os"
	"path"
	"strings"

	gitignore "github.com/sabhiram/go-gitignore"
)

// ignore holds the patterns of .merlonignore files, each for its own folder,
// and those of the command line for all.
type ignore struct {
	rules []ignoreRule
	text  string // all of them, to be compared
}

type ignoreRule struct {
	dir string
	git *gitignore.GitIgnore
}

// maxIgnore is how many lines of a .merlonignore are read.
const maxIgnore = 10_000

func (g *ignore) add(dir string, patterns []string) {
	if len(patterns) > 0 {
		g.rules = append(g.rules, ignoreRule{dir, gitignore.CompileIgnoreLines(patterns...)})
		g.text += dir + "\n" + strings.Join(patterns, "\n") + "\x00"
	}
}

func (g *ignore) load(root *os.Root, dir string) {
	f, err := root.Open(path.Join(dir, ".merlonignore"))
	if err != nil {
		return // none there
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan() && len(lines) < maxIgnore; {
		lines = append(lines, s.Text())
	}
	if dir == "." {
		dir = ""
	}
	g.add(dir, lines)
}

func (g *ignore) match(name string, isDir bool) bool {
	for _, r := range g.rules {
		rel := name
		if r.dir != "" {
			var ok bool
			if rel, ok = strings.CutPrefix(name, r.dir+"/"); !ok {
				continue
			}
		}
		if r.git.MatchesPath(rel) || isDir && r.git.MatchesPath(rel+"/") {
			return true
		}
	}
	return false
}
