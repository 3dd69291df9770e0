package main

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// exclusion says which cases of an oracle cannot be answered by anyone from
// their input, and why. They stay in the total.
type exclusion struct {
	oracle string
	id     *regexp.Regexp // of the case; nil: any
	holds  *regexp.Regexp // group/Kind of an object in the input; nil: any
	reason string
}

// loadExcluded reads excluded.tsv: oracle, cases, reason. Cases are a glob of
// their ids, or `holds:GLOB` for all whose input has an object of a group/Kind.
func loadExcluded(files fs.FS) ([]exclusion, error) {
	text, err := fs.ReadFile(files, "excluded.tsv")
	if err != nil {
		return nil, fmt.Errorf("read excluded cases: %w", err)
	}
	var out []exclusion
	for i, line := range strings.Split(string(text), "\n") {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, "\t")
		if len(cells) != 3 || strings.TrimSpace(cells[2]) == "" {
			return nil, fmt.Errorf("excluded.tsv:%d: a row is: oracle, tab, cases, tab, reason", i+1)
		}
		x := exclusion{oracle: cells[0], reason: strings.TrimSpace(cells[2])}
		if kind, ok := strings.CutPrefix(cells[1], "holds:"); ok {
			x.holds = glob(kind)
		} else {
			x.id = glob(cells[1])
		}
		out = append(out, x)
	}
	return out, nil
}

// glob makes a pattern of text with stars, which match anything.
func glob(text string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*") + "$")
}

// excludedFor returns why a case is left out, "" when it is not.
func excludedFor(list []exclusion, oracle string, c *testCase, in *input) string {
	for _, x := range list {
		if x.oracle != oracle {
			continue
		}
		if x.id != nil && x.id.MatchString(c.ID) || x.holds != nil && holdsKind(in, x.holds) {
			return x.reason
		}
	}
	return ""
}

func holdsKind(in *input, kind *regexp.Regexp) bool {
	for _, o := range in.objects() {
		if kind.MatchString(groupKind(o)) {
			return true
		}
	}
	return false
}

// groupKind is group/Kind as written, the group empty for the core API.
func groupKind(o *fact.Object) string { return o.Group + "/" + o.Kind }
