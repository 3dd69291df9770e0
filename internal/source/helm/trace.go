package helm

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"

	"helm.sh/helm/v4/pkg/chart/common"
)

// To know where lines of the output come from, the chart is rendered a second
// time from templates with marks in them: in front of what begins a line of
// plain text, and in front of each line that an action writes. Where a line of
// that output, without its marks, is the line of the true output, its marks tell
// the truth about it; any other line is left without a place. Only what a
// template writes directly is marked, not what a named template gives to a
// function, so that marks do not change what the chart computes.

// Marks are runes that no manifest holds: private use, with a number between.
const (
	markOpen  = '\uE0F1'
	markClose = '\uE0F2'
	traceFunc = "merlonTrace"
)

func markOf(id int) string { return string(markOpen) + strconv.Itoa(id) + string(markClose) }

// mark puts a mark before each line of what an action writes.
func mark(id int, v any) any {
	var s string
	switch x := v.(type) {
	case string:
		s = x
	case bool, int, int64, float64:
		s = fmt.Sprint(x) // as templates write it
	default:
		return v
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if body := strings.TrimLeft(l, " \t"); body != "" {
			lines[i] = l[:len(l)-len(body)] + markOf(id) + body
		}
	}
	return strings.Join(lines, "\n")
}

// spot is what one mark stands for.
type spot struct {
	line   uint32
	values string // key of the values that an action shows, "" for text and for mixtures
	action bool
}

// marker puts marks into the templates of a chart.
type marker struct{ spots []spot }

func (m *marker) add(s spot) int {
	m.spots = append(m.spots, s)
	return len(m.spots) - 1
}

// edit is text to be put in at an offset.
type edit struct {
	at   int
	text string
}

// template returns a template with marks; as it is when it cannot be parsed.
func (m *marker) template(name, source string) string {
	trees := map[string]*parse.Tree{}
	t := parse.New(name)
	t.Mode = parse.SkipFuncCheck
	if _, err := t.Parse(source, "", "", trees); err != nil || trees[name] == nil || strings.ContainsRune(source, markOpen) {
		return source
	}
	w := &marking{marker: m, source: source, prefix: valuesPrefix(name)}
	w.list(trees[name].Root, true)
	slices.SortStableFunc(w.edits, func(a, b edit) int { return a.at - b.at })
	var b strings.Builder
	at := 0
	for _, e := range w.edits {
		b.WriteString(source[at:e.at])
		b.WriteString(e.text)
		at = e.at
	}
	b.WriteString(source[at:])
	return b.String()
}

// valuesPrefix is what stands before a subchart's own keys in the values of the
// chart: template names are chart/charts/sub/templates/name.
func valuesPrefix(name string) string {
	var out string
	parts := strings.Split(name, "/")
	for i := 1; i+1 < len(parts) && parts[i] == "charts"; i += 2 {
		out += parts[i+1] + "."
	}
	return out
}

// marking is the work on one template.
type marking struct {
	*marker
	source string
	prefix string
	edits  []edit
}

func (w *marking) lineAt(offset int) uint32 {
	return uint32(strings.Count(w.source[:offset], "\n")) + 1
}

// list marks what a template writes. root says that the dot is that of the
// chart, so that .Values are the values.
func (w *marking) list(l *parse.ListNode, root bool) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch x := n.(type) {
		case *parse.TextNode:
			w.text(int(x.Pos), x.Text)
		case *parse.ActionNode:
			w.action(x, root)
		case *parse.IfNode:
			w.list(x.List, root)
			w.list(x.ElseList, root)
		case *parse.WithNode:
			w.list(x.List, false)
			w.list(x.ElseList, root)
		case *parse.RangeNode:
			w.list(x.List, false)
			w.list(x.ElseList, root)
		}
	}
}

// text marks the lines of plain text: before the first character of each that is
// no blank.
func (w *marking) text(at int, text []byte) {
	if at < 0 || at+len(text) > len(w.source) || w.source[at:at+len(text)] != string(text) {
		return
	}
	blank := true
	if before := strings.TrimRight(w.source[:at], " \t"); before != "" && !strings.HasSuffix(before, "\n") && !strings.HasSuffix(before, "}}") {
		blank = false
	}
	for i, c := range text {
		switch {
		case c == '\n':
			blank = true
		case c == ' ', c == '\t', c == '\r':
		case blank:
			blank = false
			w.edits = append(w.edits, edit{at + i, markOf(w.add(spot{line: w.lineAt(at + i)}))})
		}
	}
}

// action marks what an action writes.
func (w *marking) action(x *parse.ActionNode, root bool) {
	if x.Pipe == nil || len(x.Pipe.Decl) > 0 {
		return
	}
	start := int(x.Pos)
	end := endOfAction(w.source, start)
	if end < 0 {
		return
	}
	s := spot{line: w.lineAt(start), action: true, values: w.valuesOf(x.Pipe, root)}
	w.edits = append(w.edits, edit{end, " | " + traceFunc + " " + strconv.Itoa(w.add(s)) + " "})
}

// valuesOf returns the key of the values that a pipeline shows, where it shows
// one and nothing else.
func (w *marking) valuesOf(pipe *parse.PipeNode, root bool) string {
	keys := map[string]bool{}
	plain := true
	var visit func(n parse.Node)
	visit = func(n parse.Node) {
		switch x := n.(type) {
		case *parse.PipeNode:
			for _, c := range x.Cmds {
				for _, a := range c.Args {
					visit(a)
				}
			}
		case *parse.FieldNode:
			if root && len(x.Ident) > 1 && x.Ident[0] == "Values" {
				keys[strings.Join(x.Ident[1:], ".")] = true
				return
			}
			plain = false
		case *parse.VariableNode:
			if len(x.Ident) > 2 && x.Ident[0] == "$" && x.Ident[1] == "Values" {
				keys[strings.Join(x.Ident[2:], ".")] = true
				return
			}
			plain = false
		case *parse.IdentifierNode:
			plain = plain && shows(x.Ident)
		case *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
		default:
			plain = false
		}
	}
	visit(pipe)
	if !plain || len(keys) != 1 {
		return ""
	}
	for k := range keys {
		if k == "global" || strings.HasPrefix(k, "global.") {
			return k
		}
		return w.prefix + k
	}
	return ""
}

// shows reports whether a function only writes what it is given, so that the key
// behind it is the one to change.
func shows(name string) bool {
	return slices.Contains([]string{"toYaml", "toYamlPretty", "toJson", "quote", "squote", "nindent", "indent", "trim", "default", "toString", "int", "int64", "tpl", "required", "lower", "upper"}, name)
}

// endOfAction returns the offset at which an action's pipeline ends: before its
// closing braces and the sign and blank that trim what follows.
func endOfAction(s string, i int) int {
	for i < len(s) {
		switch {
		case s[i] == '"' || s[i] == '\'':
			quote := s[i]
			for i++; i < len(s) && s[i] != quote; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case s[i] == '`':
			for i++; i < len(s) && s[i] != '`'; i++ {
			}
		case strings.HasPrefix(s[i:], "/*"):
			return -1
		case strings.HasPrefix(s[i:], "}}"):
			return i
		case s[i] == '-' && strings.HasPrefix(s[i+1:], "}}") && i > 0 && strings.IndexByte(" \t\r\n", s[i-1]) >= 0:
			return i - 1
		}
		i++
	}
	return -1
}

// traced returns the output with what is known of its lines.
func (r *renderer) traced(out map[string]string, values common.Values, sources map[string]*common.File) []text {
	m := &marker{}
	original := map[*common.File][]byte{}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		f := sources[name]
		if _, done := original[f]; done || strings.HasPrefix(path.Base(name), "_") {
			continue
		}
		original[f] = f.Data
		f.Data = []byte(m.template(name, string(f.Data)))
	}
	called := r.calls
	marked, err := r.execute(values)
	r.calls = called
	for f, data := range original {
		f.Data = data
	}
	var texts []text
	for _, name := range slices.Sorted(maps.Keys(out)) {
		f := sources[name]
		if f == nil || path.Base(name) == "NOTES.txt" || strings.TrimSpace(out[name]) == "" {
			continue
		}
		t := text{File: r.place(f, f.Name), Text: out[name]}
		if err == nil {
			t.Lines = m.lines(out[name], marked[name])
		}
		texts = append(texts, t)
	}
	return texts
}

// lines tells where the lines of an output come from, by the same output with
// marks.
func (m *marker) lines(plain, marked string) []line {
	a, b := strings.Split(plain, "\n"), strings.Split(marked, "\n")
	if len(a) != len(b) {
		return nil
	}
	var out []line
	for i := range a {
		text, ids := unmarked(b[i])
		if text != a[i] || len(ids) == 0 || ids[0] >= len(m.spots) {
			continue
		}
		l := line{Line: uint32(i + 1), Template: m.spots[ids[0]].line}
		keys := map[string]bool{}
		for _, id := range ids {
			if id < len(m.spots) && m.spots[id].action {
				keys[m.spots[id].values] = true
			}
		}
		if len(keys) == 1 {
			for k := range keys {
				l.Values = k
			}
		}
		out = append(out, l)
	}
	return out
}

// unmarked takes the marks out of a line.
func unmarked(s string) (string, []int) {
	var b strings.Builder
	var ids []int
	for {
		before, rest, ok := strings.Cut(s, string(markOpen))
		b.WriteString(before)
		if !ok {
			return b.String(), ids
		}
		number, after, ok := strings.Cut(rest, string(markClose))
		id, err := strconv.Atoi(number)
		if !ok || err != nil || id < 0 {
			b.WriteRune(markOpen)
			s = rest
			continue
		}
		ids = append(ids, id)
		s = after
	}
}

// same says of a text that was not rendered that its lines are its own.
func same(data []byte) []line {
	out := make([]line, strings.Count(string(data), "\n")+1)
	for i := range out {
		out[i] = line{Line: uint32(i + 1), Template: uint32(i + 1)}
	}
	return out
}

// calledAt returns the first line of a template on which a function stands, or 0.
func calledAt(source, function string) int {
	for i, l := range strings.Split(source, "\n") {
		for rest := l; ; {
			at := strings.Index(rest, function)
			if at < 0 {
				break
			}
			end := at + len(function)
			if (at == 0 || !wordByte(rest[at-1])) && (end == len(rest) || !wordByte(rest[end])) && strings.Contains(source, "{{") {
				return i + 1
			}
			rest = rest[end:]
		}
	}
	return 0
}

func wordByte(c byte) bool {
	return c == '_' || c == '.' || c == '$' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
