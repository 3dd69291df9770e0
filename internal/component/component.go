// Package component says which value of a component's setting is in force, and
// where it comes from: flag over file over the default of its version.
package component

import (
	"path"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Process is one running or to be run component of Kubernetes, as its command
// line describes it. It is immutable.
type Process struct {
	name    string
	minor   int // of the Kubernetes version, 0 when unknown
	version string
	system  string
	flags   map[string]given
	lists   [2]fact.Value // command and args
	files   []fact.Value  // configuration files that were read, those that win last
	unread  bool          // it may have a configuration file that was not read
	// effective says that the file is what the component itself says it runs with,
	// and the command line is not known.
	effective bool
}

// given is a flag as it was given.
type given struct {
	value string
	at    fact.Value // the word that gives it, the last one where there are several
}

// The fields that say what a container runs.
var keyImage, keyCommand, keyArgs = fact.K("image"), fact.K("command"), fact.K("args")

// FromContainer recognises a component in a container by the program it runs:
// directly, through a wrapper such as tini or go-runner, or as the first
// component that a shell script starts. It is false for any other container,
// for a component that only prints its version or cleans up, and where part of
// the command line comes from a variable, so that a flag which seems to be
// missing may well be given.
func FromContainer(c fact.Value) (*Process, bool) {
	command, args := c.Get(keyCommand), c.Get(keyArgs)
	if !promising(command, args, c) {
		return nil, false
	}
	var words []word
	for _, list := range [...]fact.Value{command, args} {
		for w := range list.Children() {
			words = append(words, word{w.Text(), w})
		}
	}
	name, rest, ok := program(words)
	if !ok && command.Len() == 0 {
		name, ok = byImage(c)
		rest = words
	}
	if !ok || open(rest) {
		return nil, false
	}
	p := &Process{name: name, minor: minorOf(c.Get(keyImage).Str()), lists: [2]fact.Value{command, args}}
	p.version = versionOf(c.Get(keyImage).Str())
	p.flags = parse(name, rest)
	if name == "etcd" {
		p.addEnv(c.Get(fact.K("env")))
	}
	p.unread = p.flags[configFlag(name)].value != ""
	for _, f := range [...]string{"version", "help", "cleanup"} {
		if g, ok := p.flags[f]; ok && !falsehood(g.value) {
			return nil, false
		}
	}
	return p, true
}

// promising tells cheaply whether a container can be a component at all; nearly
// none is.
func promising(command, args, c fact.Value) bool {
	if command.Len() == 0 {
		first := args.Index(0).Str()
		if strings.HasPrefix(first, "-") {
			_, ok := byImage(c)
			return ok
		}
		return starts(first)
	}
	return starts(command.Index(0).Str())
}

// starts reports whether a command line that begins with this word can be that
// of a component.
func starts(first string) bool {
	base := path.Base(first)
	return componentName(base) != "" || base == "hyperkube" || isShell(base) || isWrapper(base)
}

// byImage recognises a component that is its image's entry point.
func byImage(c fact.Value) (string, bool) {
	repository, _ := splitImage(c.Get(keyImage).Str())
	name := componentName(path.Base(repository))
	return name, name != ""
}

// minorOf returns N of a component's image tagged v1.N, else 0. etcd has
// versions of its own.
func minorOf(image string) int {
	repository, tag := splitImage(image)
	base := path.Base(repository)
	if !strings.Contains(base, "kube") {
		return 0
	}
	return minorIn(tag)
}

// versionOf returns the version that an image of Kubernetes is tagged with, or
// "".
func versionOf(image string) string {
	if _, tag := splitImage(image); minorOf(image) != 0 {
		return tag
	}
	return ""
}

// minorIn returns N of a version v1.N…, else 0.
func minorIn(version string) int {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(version, "v"), "1.")
	if !ok {
		return 0
	}
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	minor, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return minor
}

func splitImage(image string) (repository, tag string) {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i], image[i+1:]
	}
	return image, ""
}

// At returns the process as one of Kubernetes 1.minor, unless its image already
// says which version it is.
func (p *Process) At(minor int) *Process {
	if p.minor != 0 || minor == 0 {
		return p
	}
	q := *p
	q.minor = minor
	return &q
}

// parse reads flags as the component does: --name=value, --name value, and
// --name alone for a boolean. The last one of a name wins, lists add up.
func parse(component string, words []word) map[string]given {
	flags := map[string]given{}
	for i := 0; i < len(words); i++ {
		name, isFlag := strings.CutPrefix(words[i].text, "-")
		if !isFlag || name == "" {
			continue
		}
		if name == "-" {
			break
		}
		at := words[i].at
		name, value, hasValue := strings.Cut(strings.TrimPrefix(name, "-"), "=")
		name = strings.ReplaceAll(name, "_", "-")
		s := settingOf(component, name)
		if !hasValue {
			value = "true"
			if i+1 < len(words) && s.takesNext(words[i+1].text) {
				i++
				value = words[i].text
			}
		}
		if s.kind == boolean {
			value = canonical(value)
		}
		if before, ok := flags[name]; ok && s.kind == list && before.value != "" {
			value = before.value + "," + value
		}
		flags[name] = given{value, at}
	}
	return flags
}

// addEnv adds the settings that etcd takes from its environment: ETCD_CERT_FILE
// is --cert-file, where that is not given.
func (p *Process) addEnv(env fact.Value) {
	for e := range env.Children() {
		name, ok := strings.CutPrefix(e.Get(fact.K("name")).Str(), "ETCD_")
		if !ok {
			continue
		}
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if _, ok := p.flags[name]; ok {
			continue
		}
		value := e.Get(fact.K("value")).Text()
		if e.Get(fact.K("valueFrom")).Len() > 0 {
			value = "$(" + e.Get(fact.K("name")).Str() + ")"
		}
		if settingOf("etcd", name).kind == boolean {
			value = canonical(value)
		}
		p.flags[name] = given{value, e}
	}
}

// canonical writes a boolean as Go does; what is none stays as it is.
func canonical(value string) string {
	if b, err := strconv.ParseBool(value); err == nil {
		return strconv.FormatBool(b)
	}
	return value
}

func falsehood(value string) bool { return canonical(value) == "false" }
