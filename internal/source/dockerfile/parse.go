package dockerfile

import (
	"fmt"
	"strings"
)

// instruction is one instruction of a Dockerfile as it was written: its name in
// capitals, its flags, the rest as text, and the line on which it begins.
//
// The form is that of the Dockerfile reference: comments, an escape directive,
// lines that go on, and here-documents, whose bodies belong to their instruction.
type instruction struct {
	name  string
	flags []string
	text  string
	line  int
}

// Limits of a Dockerfile.
const (
	maxBytes        = 4 << 20
	maxInstructions = 10_000
)

type parser struct {
	lines  []string
	at     int
	escape byte
}

// parse reads a Dockerfile. An error names the line.
func parse(data string) ([]instruction, error) {
	p := &parser{lines: strings.Split(strings.ReplaceAll(strings.TrimPrefix(data, "\ufeff"), "\r\n", "\n"), "\n"), escape: '\\'}
	p.directives()
	var out []instruction
	for p.at < len(p.lines) {
		line := p.at + 1
		text := p.logical()
		if text == "" {
			continue
		}
		i, err := split(text, line)
		if err != nil {
			return out, err
		}
		i.text = p.documents(i)
		if out = append(out, i); len(out) > maxInstructions {
			return nil, fmt.Errorf("line %d: more than %d instructions", line, maxInstructions)
		}
	}
	return out, nil
}

// directives reads the comments at the head of a file that change how it is read.
func (p *parser) directives() {
	for _, l := range p.lines {
		rest, ok := strings.CutPrefix(strings.TrimSpace(l), "#")
		key, value, pair := strings.Cut(rest, "=")
		if !ok || !pair {
			return
		}
		if strings.EqualFold(strings.TrimSpace(key), "escape") && strings.TrimSpace(value) == "`" {
			p.escape = '`'
		}
	}
}

// logical returns the next instruction with the lines that it goes on over;
// comments and empty lines between them are left out.
func (p *parser) logical() string {
	var b strings.Builder
	for p.at < len(p.lines) {
		l := p.lines[p.at]
		p.at++
		trimmed := strings.TrimSpace(l)
		if strings.HasPrefix(trimmed, "#") || trimmed == "" {
			if b.Len() == 0 {
				return ""
			}
			continue
		}
		if end := strings.TrimRight(l, " \t"); end[len(end)-1] == p.escape {
			b.WriteString(end[:len(end)-1])
			b.WriteByte(' ')
			continue
		}
		b.WriteString(l)
		break
	}
	return strings.TrimSpace(b.String())
}

func split(text string, line int) (instruction, error) {
	name, rest, _ := strings.Cut(strings.ReplaceAll(text, "\t", " "), " ")
	i := instruction{name: strings.ToUpper(name), line: line}
	switch i.name {
	case "FROM", "RUN", "CMD", "LABEL", "MAINTAINER", "EXPOSE", "ENV", "ADD", "COPY", "ENTRYPOINT", "VOLUME", "USER", "WORKDIR", "ARG", "ONBUILD", "STOPSIGNAL", "HEALTHCHECK", "SHELL":
	default:
		return i, fmt.Errorf("line %d: no instruction of a Dockerfile begins it", line)
	}
	for rest = strings.TrimSpace(rest); strings.HasPrefix(rest, "--"); rest = strings.TrimSpace(rest) {
		var flag string
		flag, rest, _ = strings.Cut(rest, " ")
		i.flags = append(i.flags, flag)
	}
	i.text = rest
	return i, nil
}

// documents adds the bodies of the here-documents that an instruction opens.
func (p *parser) documents(i instruction) string {
	if i.name != "RUN" && i.name != "COPY" && i.name != "ADD" {
		return i.text
	}
	text := i.text
	for _, w := range strings.Fields(i.text) {
		at := strings.Index(w, "<<")
		if at < 0 || strings.HasPrefix(w[at:], "<<<") {
			continue
		}
		end := strings.Trim(strings.TrimPrefix(w[at+2:], "-"), `"'`)
		if end == "" || strings.Trim(end, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			continue
		}
		for p.at < len(p.lines) {
			l := p.lines[p.at]
			p.at++
			if strings.TrimLeft(l, "\t") == end {
				break
			}
			text += "\n" + l
		}
	}
	return text
}

// pair is a key and its value in ENV and ARG.
type pair struct{ key, value string }

// pairs reads KEY=VALUE, several of them, quoted or not, and the old form of
// ENV, KEY VALUE.
func pairs(text string) []pair {
	var out []pair
	words := words(text)
	if len(words) > 1 && !strings.Contains(words[0], "=") {
		_, value, _ := strings.Cut(text, words[0])
		return []pair{{words[0], strings.TrimSpace(value)}}
	}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		out = append(out, pair{key, value})
	}
	return out
}

// words splits a text at blanks; quotes hold words together and are dropped.
func words(text string) []string {
	var out []string
	var b strings.Builder
	quote, open := byte(0), false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quote != '\'' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
			open = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, open = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if open {
				out = append(out, b.String())
			}
			b.Reset()
			open = false
		default:
			b.WriteByte(c)
			open = true
		}
	}
	if open {
		out = append(out, b.String())
	}
	return out
}
