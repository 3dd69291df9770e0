// Package dockerfile is the source that reads how images are built: Dockerfiles
// and Containerfiles. Each is an object of the kind merlon.dev/Dockerfile, which
// no cluster has, with the places of its instructions.
package dockerfile

import (
	"context"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
)

// Name is the source's name in facts and gaps.
const Name = "dockerfile"

// Source reads Dockerfiles. The zero value finds none.
type Source struct {
	source.Input

	files int
}

// Kind describes the source.
func Kind() config.Kind[source.Source] {
	return config.Kind[source.Source]{
		Name: Name, Doc: "Dockerfiles and Containerfiles", Example: "merlon scan Dockerfile",
		New: func(decode func(any) error) (source.Source, error) {
			s := &Source{}
			return s, decode(&s.Input)
		},
	}
}

// Files returns how many files the last Collect read.
func (s *Source) Files() int { return s.files }

// Collect reads every file that describes an image.
func (s *Source) Collect(ctx context.Context, emit func(fact.Change) error) error {
	s.files = 0
	return s.EachTree(ctx, emit, func(t *source.Tree, emit func(fact.Change) error) error {
		for _, item := range t.Of(source.ImageBuild) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := emit(s.read(t, item.Name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// read returns the object of one file, or the gap that it is.
func (s *Source) read(t *source.Tree, name string) fact.Change {
	s.files++
	file := t.Place(name)
	gap := func(kind, format string, args ...any) fact.Change {
		return fact.Change{Op: fact.GapOpened, Gap: fact.Gap{Kind: kind, Source: Name, World: fact.LooseFiles, File: file, Message: fmt.Sprintf(format, args...)}}
	}
	f, err := t.Open(name)
	if err != nil {
		return gap(source.GapKind(err), "cannot be opened: %v", source.Cause(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return gap("unreadable", "cannot be read: %v", source.Cause(err))
	}
	if len(data) > maxBytes {
		return gap("too-large", "larger than %d MiB", maxBytes>>20)
	}
	list, err := parse(string(data))
	if err != nil {
		return gap("invalid-dockerfile", "%v", err)
	}
	if len(list) == 0 {
		return gap("no-objects", "holds no instruction")
	}
	shown := name
	if t.Root == nil {
		shown = path.Base(name)
	}
	o, _ := fact.NewObject(object(shown, list), fact.Origin{Source: Name, File: file})
	return fact.Change{Op: fact.Upsert, Object: &o}
}

// builder writes the object of a file.
type builder struct {
	fact.Builder
	args map[string]string // of before the first FROM, for the names of images
	user map[string]string // that a stage ends with, by its name
}

// object is the form in which controls see a Dockerfile:
//
//	stages:                    # in order
//	  - name: build            # as written, else its number, as COPY --from has it
//	    image: golang:1.26     # what it is from, with the defaults of ARG
//	    external: true         # an image, not an earlier stage and not scratch
//	    final: false           # the image is made from this one
//	    user: app              # that it ends with, "" when none is named
//	    instructions:
//	      - {instruction: RUN, text: apt-get update, flags: []}
//	      - {instruction: ENV, pairs: [{name: A, value: b}], id: ENV A, text: A=b, flags: []}
//
// An instruction that sets variables is known over time by their names, not by
// their values, which change and may be secret.
func object(name string, list []instruction) fact.Value {
	b := &builder{args: map[string]string{}, user: map[string]string{}}
	b.Positions = true
	start := fact.Pos{Line: uint32(list[0].line), Column: 1}
	b.Begin(fact.Key{}, start, fact.Map)
	b.String(b.Key("apiVersion"), start, "merlon.dev/v1")
	b.String(b.Key("kind"), start, "Dockerfile")
	b.Begin(b.Key("metadata"), start, fact.Map)
	b.String(b.Key("name"), start, name)
	b.End()
	b.Begin(b.Key("stages"), start, fact.List)
	var last, stages int
	for i, x := range list {
		if x.name == "FROM" {
			last = i
		}
	}
	for i := 0; i < len(list); {
		if list[i].name != "FROM" {
			if list[i].name == "ARG" {
				for _, p := range pairs(list[i].text) {
					b.args[p.key] = p.value
				}
			}
			i++
			continue
		}
		end := i + 1
		for end < len(list) && list[end].name != "FROM" {
			end++
		}
		b.stage(strconv.Itoa(stages), list[i:end], i == last)
		i = end
		stages++
	}
	b.End()
	b.End()
	return b.Tree().Root()
}

func (b *builder) stage(name string, list []instruction, final bool) {
	from := strings.Fields(list[0].text)
	at := fact.Pos{Line: uint32(list[0].line), Column: 1}
	image := ""
	if len(from) > 0 {
		image = b.expand(from[0])
	}
	if len(from) > 2 && strings.EqualFold(from[1], "as") {
		name = strings.ToLower(from[2])
	}
	user, earlier := b.user[strings.ToLower(image)]
	userAt := at
	for _, x := range list[1:] {
		if x.name == "USER" {
			user, userAt = strings.TrimSpace(x.text), fact.Pos{Line: uint32(x.line), Column: 1}
		}
	}
	b.user[name] = user
	b.Begin(fact.Key{}, at, fact.Map)
	b.String(b.Key("name"), at, name)
	b.String(b.Key("image"), at, image)
	b.Bool(b.Key("external"), at, !earlier && !strings.EqualFold(image, "scratch"))
	b.Bool(b.Key("final"), at, final)
	b.String(b.Key("user"), userAt, user)
	b.Begin(b.Key("instructions"), at, fact.List)
	for _, x := range list[1:] {
		b.instruction(x)
	}
	b.End()
	b.End()
}

func (b *builder) instruction(x instruction) {
	at := fact.Pos{Line: uint32(x.line), Column: 1}
	b.Begin(fact.Key{}, at, fact.Map)
	b.String(b.Key("instruction"), at, x.name)
	b.String(b.Key("text"), at, x.text)
	b.Begin(b.Key("flags"), at, fact.List)
	for _, f := range x.flags {
		b.String(fact.Key{}, at, f)
	}
	b.End()
	if x.name == "ENV" || x.name == "ARG" {
		id := x.name
		b.Begin(b.Key("pairs"), at, fact.List)
		for _, p := range pairs(x.text) {
			id += " " + p.key
			b.Begin(fact.Key{}, at, fact.Map)
			b.String(b.Key("name"), at, p.key)
			b.String(b.Key("value"), at, p.value)
			b.End()
		}
		b.End()
		b.String(b.Key("id"), at, id)
	}
	b.End()
}

// expand puts the defaults of ARG into the name of an image; what has none stays
// as it is.
func (b *builder) expand(s string) string {
	for name, value := range b.args {
		if value == "" {
			continue
		}
		s = strings.ReplaceAll(s, "${"+name+"}", value)
		if rest, ok := strings.CutSuffix(s, "$"+name); ok {
			s = rest + value
		}
	}
	return s
}
