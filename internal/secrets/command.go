package secrets

import "strings"

// Commands that take a secret under a short flag, by position or attached.

// command is one of them. Read-only.
type command struct {
	name     string
	flag     string // "-p"; "" when the secret is the next word
	attached bool   // "-pX" as well as, or in place of, "-p X"
	separate bool   // "-p X"
	userPass bool   // the word is user:password
	after    string // the flag counts only after this word ("login")
}

var commands = [...]command{
	{name: "mysql", flag: "-p", attached: true},
	{name: "mysqldump", flag: "-p", attached: true},
	{name: "mysqladmin", flag: "-p", attached: true},
	{name: "mysqlcheck", flag: "-p", attached: true},
	{name: "mysqlimport", flag: "-p", attached: true},
	{name: "mariadb", flag: "-p", attached: true},
	{name: "mariadb-dump", flag: "-p", attached: true},
	{name: "mariadb-admin", flag: "-p", attached: true},
	{name: "sshpass", flag: "-p", attached: true, separate: true},
	{name: "redis-cli", flag: "-a", separate: true},
	{name: "valkey-cli", flag: "-a", separate: true},
	{name: "redis-benchmark", flag: "-a", separate: true},
	{name: "mongo", flag: "-p", separate: true},
	{name: "mongosh", flag: "-p", separate: true},
	{name: "mongodump", flag: "-p", separate: true},
	{name: "mongorestore", flag: "-p", separate: true},
	{name: "mongoimport", flag: "-p", separate: true},
	{name: "mongoexport", flag: "-p", separate: true},
	{name: "sqlcmd", flag: "-P", attached: true, separate: true},
	{name: "bcp", flag: "-P", attached: true, separate: true},
	{name: "curl", flag: "-u", attached: true, separate: true, userPass: true},
	{name: "curl", flag: "--user", separate: true, userPass: true},
	{name: "curl", flag: "--proxy-user", separate: true, userPass: true},
	{name: "ldapsearch", flag: "-w", separate: true},
	{name: "ldapadd", flag: "-w", separate: true},
	{name: "ldapmodify", flag: "-w", separate: true},
	{name: "ldapwhoami", flag: "-w", separate: true},
	{name: "docker", flag: "-p", separate: true, after: "login"},
	{name: "podman", flag: "-p", separate: true, after: "login"},
	{name: "nerdctl", flag: "-p", separate: true, after: "login"},
	{name: "oras", flag: "-p", separate: true, after: "login"},
	{name: "crane", flag: "-p", separate: true, after: "login"},
	{name: "helm", flag: "-p", separate: true, after: "login"},
	{name: "az", flag: "-p", separate: true, after: "login"},
	{name: "oc", flag: "-p", separate: true, after: "login"},
	{name: "argocd", flag: "-p", separate: true, after: "login"},
	{name: "clickhouse-client", flag: "--password", separate: true},
	{name: "influx", flag: "-t", separate: true},
	{name: "vault", after: "login"},
	{name: "requirepass"},
	{name: "masterauth"},
	{name: "machine", after: "password"},
}

// command looks for a command at the start of a word and returns where to go on.
func (sc *scan) command(i int) (int, bool) {
	s := sc.s
	if i > 0 && strings.IndexByte(" \t\r\n\"'`/(;|&[", s[i-1]) < 0 {
		return 0, false
	}
	end := i
	for end < len(s) && end-i < 24 && (isLower(s[end]) || s[end] == '-' || s[end] == 'B') {
		end++
	}
	if end == len(s) || s[end] != ' ' && s[end] != '\t' && s[end] != '"' && s[end] != '\'' {
		return 0, false
	}
	if s[i:end] == "Bearer" || s[i:end] == "bearer" {
		return sc.bearer(end)
	}
	known := false
	for k := range commands {
		known = known || commands[k].name == s[i:end]
	}
	if !known {
		return 0, false
	}
	words, at := sc.commandWords(end)
	for k := range commands {
		if commands[k].name != s[i:end] {
			continue
		}
		if w, from, to, ok := commands[k].find(words); ok {
			start := at[w] + from
			kind, _, _ := sc.d.refine(kindPassword, words[w][from:to])
			sc.addSorted(i, kind, start, at[w]+to)
			return at[w] + to, true
		}
	}
	return 0, false
}

// addSorted adds a match found ahead of the pass; what lies between is looked
// at first, so that the matches stay in order.
func (sc *scan) addSorted(from int, kind string, start, end int) {
	between := scan{d: sc.d, s: sc.s[from:start], cautious: sc.cautious, decoded: true}
	for i := range between.s { // only separators: words were what led here
		if sc.d.class[between.s[i]]&trigger != 0 && len(between.out) == 0 {
			between.separator(i)
		}
	}
	sc.work += between.work + len(between.s)
	for _, m := range between.out {
		sc.add(m.Kind, from+m.Start, from+m.End)
	}
	sc.add(kind, start, end)
}

// bearer matches a random-looking credential after the word Bearer.
func (sc *scan) bearer(end int) (int, bool) {
	start := end
	for start < len(sc.s) && start-end < 4 && sc.s[start] == ' ' {
		start++
	}
	to := sc.runOf(b64url|dot, start)
	if v := sc.s[start:min(to, start+maxJudged)]; v == "" || isHarmless(v) || !isRandom(v) {
		return 0, false
	}
	kind := "authorization-header"
	if format, stop := sc.formatAt(start); stop == to {
		kind = format
	}
	sc.add(kind, start, to)
	return to, true
}

// commandWords cuts the rest of a simple command into words, without quotes,
// and tells where each starts. It reads at most maxJudged bytes.
func (sc *scan) commandWords(i int) (words []string, at []int) {
	s := sc.s
	stop := min(len(s), i+maxJudged)
	for i < stop {
		switch c := s[i]; c {
		case ' ', '\t', ',', '\\':
			if c == '\\' && i+1 < stop && s[i+1] == '\n' {
				i++
			}
			i++
			continue
		case '\n', ';', '|', '&', ')', ']':
			return words, at
		}
		start, end, quoted := sc.shellWord(i)
		if !quoted && end > start && end < len(s) && (s[end] == '"' || s[end] == '\'') && s[end-1] == '=' {
			from := end + 1
			end = sc.closingQuote(from, s[end], false)
			quoted = true
		}
		if end > start || quoted {
			words, at = append(words, s[start:end]), append(at, start)
		}
		i = max(i+1, end+boolInt(quoted))
	}
	return words, at
}

// find returns the word, and the bounds in it, that holds the secret.
func (c *command) find(words []string) (w, from, to int, ok bool) {
	armed := c.after == ""
	for i, word := range words {
		if !armed {
			if armed = word == c.after; armed && c.flag == "" && i+1 < len(words) {
				return c.secret(words, i+1, 0)
			}
			continue
		}
		switch {
		case c.flag == "":
			return c.secret(words, i, 0)
		case word == c.flag && c.separate && i+1 < len(words):
			return c.secret(words, i+1, 0)
		case c.attached && len(word) > len(c.flag) && strings.HasPrefix(word, c.flag):
			return c.secret(words, i, len(c.flag))
		}
	}
	return 0, 0, 0, false
}

// secret judges words[w][from:].
func (c *command) secret(words []string, w, from int) (int, int, int, bool) {
	word := words[w]
	for from < len(word) && (word[from] == '\'' || word[from] == '"') {
		from++
	}
	to := len(word)
	for to > from && (word[to-1] == '\'' || word[to-1] == '"') {
		to--
	}
	if c.userPass {
		colon := strings.IndexByte(word[from:to], ':')
		if colon < 0 {
			return 0, 0, 0, false
		}
		from += colon + 1
	}
	v := word[from:to]
	if len(v) < 2 || v[0] == '-' || strings.ContainsAny(v, " \n") || isHarmless(v) || isFlagProse(v) || strings.HasPrefix(v, "rotocol") || strings.HasPrefix(v, "ort") {
		return 0, 0, 0, false
	}
	return w, from, to, true
}

// commandArgs adds what the command table finds in an argument vector.
func (d *Detector) commandArgs(argv []string, out []ArgMatch) []ArgMatch {
	if len(argv) < 2 {
		return out
	}
	name := argv[0][strings.LastIndexByte(argv[0], '/')+1:]
	for k := range commands {
		if commands[k].name != name {
			continue
		}
		w, from, to, ok := commands[k].find(argv[1:])
		if !ok {
			continue
		}
		kind, _, _ := d.refine(kindPassword, argv[w+1][from:to])
		out = insertArg(out, ArgMatch{w + 1, Match{kind, from, to}})
	}
	return out
}

// insertArg keeps matches ordered and drops one that overlaps an older.
func insertArg(out []ArgMatch, m ArgMatch) []ArgMatch {
	i := 0
	for ; i < len(out); i++ {
		o := out[i]
		if o.Arg == m.Arg && o.Start < m.End && m.Start < o.End {
			return out
		}
		if o.Arg > m.Arg || o.Arg == m.Arg && o.Start > m.Start {
			break
		}
	}
	out = append(out, ArgMatch{})
	copy(out[i+1:], out[i:])
	out[i] = m
	return out
}

// flagTakes reports whether arg is a flag that says secret and next is a
// plausible value for it.
func flagTakes(arg, next string) (kind string, ok bool) {
	name := strings.TrimLeft(arg, "-")
	if len(name) == len(arg) || len(name) < 3 || next == "" || next[0] == '-' || strings.ContainsAny(name, "= \t\n:") {
		return "", false
	}
	n := nameSays(name)
	start, end := trimLiteral(next)
	if n.strength <= weak || start == end || !plausible(n, next[start:end], false) {
		return "", false
	}
	return n.kind, true
}
