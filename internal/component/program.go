package component

import (
	"path"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// word is one word of a command line, and the field it stands in.
type word struct {
	text string
	at   fact.Value
}

// program finds the component that a command line starts, and the words after
// it.
func program(words []word) (name string, rest []word, ok bool) {
	for i := 0; i < len(words); {
		base := path.Base(words[i].text)
		if name := componentName(base); name != "" {
			return name, words[i+1:], true
		}
		switch {
		case base == "hyperkube" && i+1 < len(words):
			name := hyperkube(words[i+1].text)
			return name, words[i+2:], name != ""
		case isShell(base):
			if script, ok := scriptOf(words[i+1:]); ok {
				return inScript(script)
			}
			return "", nil, false
		case isWrapper(base):
			i = afterOptions(words, i+1)
		default:
			return "", nil, false
		}
	}
	return "", nil, false
}

// componentName returns the component that a program of this name is, or "".
// Clouds put their own name before that of their controller manager.
func componentName(base string) string {
	switch base {
	case "kube-apiserver", "kube-controller-manager", "kube-scheduler", "cloud-controller-manager", "etcd", "kubelet", "kube-proxy":
		return base
	}
	if strings.HasSuffix(base, "-cloud-controller-manager") {
		return "cloud-controller-manager"
	}
	return ""
}

// hyperkube returns the component that the all-in-one binary runs as.
func hyperkube(subcommand string) string {
	switch subcommand {
	case "apiserver", "controller-manager", "scheduler", "proxy":
		return "kube-" + subcommand
	}
	return componentName(subcommand)
}

func isShell(base string) bool {
	switch base {
	case "sh", "bash", "ash", "dash":
		return true
	}
	return false
}

// isWrapper names programs that run the command line that follows their own
// options.
func isWrapper(base string) bool {
	switch base {
	case "go-runner", "tini", "dumb-init", "catatonit", "env", "exec", "nice", "nohup", "setsid", "timeout", "watch-termination":
		return true
	}
	return false
}

// afterOptions skips what may stand between a wrapper and its command: options,
// assignments, and the number that nice and timeout take.
func afterOptions(words []word, i int) int {
	for ; i < len(words); i++ {
		w := words[i].text
		if w != "" && !strings.HasPrefix(w, "-") && !assigns(w) && strings.Trim(w, "0123456789smh") != "" {
			break
		}
	}
	return i
}

// assigns reports whether a word is NAME=value.
func assigns(w string) bool {
	name, _, ok := strings.Cut(w, "=")
	return ok && name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// scriptOf returns the word that a shell is given to run.
func scriptOf(words []word) (word, bool) {
	command := false
	for _, w := range words {
		if option, ok := strings.CutPrefix(w.text, "-"); ok {
			command = command || !strings.HasPrefix(option, "-") && strings.Contains(option, "c")
			continue
		}
		return w, command
	}
	return word{}, false
}

// inScript finds the first component that a shell script starts.
func inScript(script word) (name string, rest []word, ok bool) {
	if !strings.Contains(script.text, "kube") && !strings.Contains(script.text, "etcd") && !strings.Contains(script.text, "controller-manager") {
		return "", nil, false
	}
	for _, simple := range commands(script.text) {
		words := make([]word, 0, len(simple))
		for _, text := range simple {
			if len(words) == 0 && (assigns(text) || isKeyword(text)) {
				continue
			}
			words = append(words, word{text, script.at})
		}
		if name, rest, ok := program(words); ok {
			return name, rest, true
		}
	}
	return "", nil, false
}

func isKeyword(text string) bool {
	switch text {
	case "if", "then", "else", "elif", "do", "while", "until", "!", "{", "exec", "command":
		return true
	}
	return false
}

// open reports whether a command line holds a word that a variable or another
// command fills in, which may be any flag.
func open(words []word) bool {
	for _, w := range words {
		if strings.HasPrefix(w.text, "$") || strings.HasPrefix(w.text, "`") {
			return true
		}
	}
	return false
}

// commands cuts a shell script into simple commands, and these into words.
// Quotes are taken off; variables stay as they are written; redirections are
// left out.
func commands(script string) [][]string {
	var s splitter
	for i := 0; i < len(script); i++ {
		i = s.step(script, i)
	}
	s.endCommand()
	return s.out
}

type splitter struct {
	out     [][]string
	current []string
	text    strings.Builder
	inWord  bool
	drop    bool // the next word is the file of a redirection
}

// step reads the script at i and returns the last index it used.
func (s *splitter) step(script string, i int) int {
	switch c := script[i]; c {
	case '\\':
		if i+1 < len(script) {
			if i++; script[i] != '\n' {
				s.add(script[i : i+1])
			}
		}
	case '\'', '"':
		end := closing(script, i)
		quoted := script[i+1 : end]
		if c == '"' {
			quoted = strings.NewReplacer("\\\n", "", `\"`, `"`, `\\`, `\`).Replace(quoted)
		}
		s.add(quoted)
		return end
	case ' ', '\t', '\r':
		s.endWord()
	case '\n', ';', '&', '|', '(', ')':
		s.endCommand()
	case '<', '>':
		if strings.Trim(s.text.String(), "0123456789") == "" {
			s.text.Reset() // the number of a file descriptor
			s.inWord = false
		}
		s.endWord()
		for i+1 < len(script) && strings.IndexByte("<>&", script[i+1]) >= 0 {
			i++
		}
		s.drop = true
	case '#':
		if s.inWord {
			s.add("#")
			return i
		}
		if end := strings.IndexByte(script[i:], '\n'); end >= 0 {
			return i + end - 1
		}
		return len(script)
	default:
		s.add(script[i : i+1])
	}
	return i
}

// closing finds the quote that ends what the one at i begins.
func closing(script string, i int) int {
	for j := i + 1; j < len(script); j++ {
		switch {
		case script[j] == script[i]:
			return j
		case script[j] == '\\' && script[i] == '"':
			j++
		}
	}
	return len(script)
}

func (s *splitter) add(text string) {
	s.text.WriteString(text)
	s.inWord = true
}

func (s *splitter) endWord() {
	if !s.inWord {
		return
	}
	if !s.drop {
		s.current = append(s.current, s.text.String())
	}
	s.text.Reset()
	s.inWord, s.drop = false, false
}

func (s *splitter) endCommand() {
	s.endWord()
	s.drop = false
	if len(s.current) > 0 {
		s.out = append(s.out, s.current)
		s.current = nil
	}
}
