// Command conformance measures how far Merlon agrees with other tools on their
// own test data. It reads oracles, folders of cases in the form of ORACLES.md,
// runs each case through the engine of `merlon scan` and prints, for each
// oracle, how many agreed.
//
// It knows checks, by the map files in maps/, and the form in which each tool
// states what it expects; it knows no single case, so that it works on cases
// that its authors have never seen.
//
//	go run ./test/conformance -oracles DIR [-oracle NAME] [-v] [-o json]
package main

import (
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/frameworks"
)

// Exit codes, as `merlon` has them.
const (
	exitOK     = 0
	exitUsage  = 2
	exitFailed = 3
)

//go:embed all:maps excluded.tsv
var files embed.FS

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// request is the command line.
type request struct {
	dir     string
	names   []string
	verbose bool
	json    bool
}

func parse(args []string, stderr io.Writer) (*request, error) {
	q := &request{}
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&q.dir, "oracles", "../shared", "folder with oracles/, support/ and reference/")
	flags.Func("oracle", "only this oracle (repeatable, or a list with commas)", func(s string) error {
		q.names = append(q.names, strings.Split(s, ",")...)
		return nil
	})
	flags.BoolVar(&q.verbose, "v", false, "tell every disagreement and every case left out")
	format := flags.String("o", "text", "text or json")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *format != "text" && *format != "json" {
		return nil, fmt.Errorf("-o %s: one of text, json", *format)
	}
	q.json = *format == "json"
	return q, nil
}

func run(args []string, stdout, stderr io.Writer) int {
	q, err := parse(args, stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(stderr, "conformance:", err)
		}
		return exitUsage
	}
	d := data{q.dir}
	names, err := d.names()
	if err != nil || len(names) == 0 {
		fmt.Fprintf(stderr, "conformance: no oracles in %s: name a folder that holds oracles/*.jsonl with -oracles DIR\n", q.dir)
		return exitFailed
	}
	for _, n := range q.names {
		if !slices.Contains(names, n) {
			fmt.Fprintf(stderr, "conformance: there is no oracle %s in %s; there are %s\n", n, q.dir, strings.Join(names, ", "))
			return exitUsage
		}
	}
	if len(q.names) > 0 {
		names = q.names
	}
	s, err := shipped(d, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "conformance:", err)
		return exitFailed
	}
	results, err := s.run(names, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "conformance:", err)
		return exitFailed
	}
	if err := results.write(stdout, q); err != nil {
		fmt.Fprintln(stderr, "conformance: write the result:", err)
		return exitFailed
	}
	return exitOK
}

// session is one run over several oracles.
type session struct {
	data      data
	catalogue *catalogue
	judge     judge
	maps      fs.FS
	excluded  []exclusion
}

// shipped returns a session that judges by what is built in. Controls that
// cannot be read are told, and the others are used.
func shipped(d data, stderr io.Writer) (*session, error) {
	maps, err := fs.Sub(files, "maps")
	if err != nil {
		return nil, fmt.Errorf("read maps: %w", err)
	}
	excluded, err := loadExcluded(files)
	if err != nil {
		return nil, err
	}
	cat, err := loadCatalogue(controls.FS, frameworks.FS)
	if err != nil {
		fmt.Fprintln(stderr, "conformance:", err)
	}
	return &session{data: d, catalogue: cat, judge: newEngines(), maps: maps, excluded: excluded}, nil
}

// run runs oracles, the known ones first and in their order. What a map file
// has wrong is told and skipped.
func (s *session) run(names []string, stderr io.Writer) (*results, error) {
	known := oracles()
	for _, n := range names {
		if !slices.ContainsFunc(known, func(o oracle) bool { return o.name == n }) {
			known = append(known, oracle{name: n, later: "an oracle that this runner does not know"})
		}
	}
	out := &results{}
	for _, o := range known {
		if !slices.Contains(names, o.name) {
			continue
		}
		res, problems, err := s.oracle(&o)
		if err != nil {
			return nil, err
		}
		if problems != nil {
			fmt.Fprintln(stderr, "conformance:", problems)
		}
		out.Oracles = append(out.Oracles, res)
	}
	return out, nil
}

// oracle runs all cases of one oracle. problems are those of its map files.
func (s *session) oracle(o *oracle) (res *result, problems, err error) {
	cases, err := s.data.cases(o.name)
	if err != nil {
		return nil, nil, err
	}
	r := &runner{data: s.data, catalogue: s.catalogue, judge: s.judge, table: &table{}}
	if o.run != nil {
		r.table, problems = loadTable(s.maps, o.name, o.family)
	} else {
		o.run = notYet(o.later)
	}
	res = newResult(o)
	for _, c := range cases {
		in, err := s.input(o, c)
		if err != nil {
			res.add(c, nil, &outcome{check: c.text("check"), got: "error: " + err.Error()})
			continue
		}
		groups := []string(nil)
		if o.group != nil {
			groups = o.group(c, in)
		}
		if reason := excludedFor(s.excluded, o.name, c, in); reason != "" {
			res.exclude(c, groups, reason)
			continue
		}
		res.add(c, groups, try(o.run, r, c, in))
	}
	return res, problems, nil
}

// try runs a case. One that fails or brings the engine down does not agree; the
// others are still run.
func try(run adapter, r *runner, c *testCase, in *input) (out *outcome) {
	defer func() {
		if p := recover(); p != nil {
			out = &outcome{check: c.text("check"), got: fmt.Sprint("panic: ", p)}
		}
	}()
	o, err := run(r, c, in)
	if err != nil {
		o = outcome{check: c.text("check"), got: "error: " + err.Error()}
	}
	return &o
}

func (s *session) input(o *oracle, c *testCase) (*input, error) {
	if o.read == nil {
		return read(nil)
	}
	docs, err := o.read(c)
	if err != nil {
		return nil, err
	}
	return read(docs)
}
