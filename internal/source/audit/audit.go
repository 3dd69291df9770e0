// Package audit is the source that reads audit logs of the API server: JSON
// lines of audit.k8s.io/v1 and its forerunners, plain or gzip, single files,
// standard input, and folders with a log and its rotated parts.
//
// A line that cannot be read is a gap with its place, and the rest goes on.
package audit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
)

// Name is the source's name in facts and gaps.
const Name = "audit"

const (
	// maxLine is how long a line may be. The API server takes bodies of 3 MiB; an
	// event holds two, and JSON escapes some characters.
	maxLine = 32 << 20
	// maxGaps is how many gaps of one file are told one by one.
	maxGaps = 100
	// maxFiles is how many files of a folder are read.
	maxFiles = 100_000
)

// Source reads logs. The zero value reads nothing.
type Source struct {
	source.EventInput

	event func(*fact.AuditEvent) error
	gap   func(fact.Gap) error
}

// Kind describes the source.
func Kind() config.Kind[source.Events] {
	return config.Kind[source.Events]{
		Name: Name, Doc: "the audit log of an API server: JSON lines, gzip, folders of rotated files", Example: "merlon rbac least sa shop/web --audit audit.log",
		New: func(decode func(any) error) (source.Events, error) {
			s := &Source{}
			return s, decode(&s.EventInput)
		},
	}
}

// Read reads everything once, each path in turn. It returns an error only when a
// path is not there at all, when a callback fails, or when ctx ends.
func (s *Source) Read(ctx context.Context, event func(*fact.AuditEvent) error, gap func(fact.Gap) error) error {
	s.event, s.gap = event, gap
	for _, p := range s.Paths {
		if err := s.path(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) path(ctx context.Context, name string) error {
	if name == "-" {
		return s.stream(ctx, s.Stdin, "stdin")
	}
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("read audit log %s: %w", name, cause(err))
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() && info.Mode()&fs.ModeNamedPipe == 0 {
			return fmt.Errorf("read audit log %s: neither a file nor a folder", name)
		}
		f, err := os.Open(name)
		if err != nil {
			return s.tell("unreadable", name, 0, "cannot be opened: %v", cause(err))
		}
		defer f.Close()
		return s.stream(ctx, f, filepath.ToSlash(name))
	}
	return s.folder(ctx, name)
}

// folder reads the logs in a folder, not below it, oldest first. Links that lead
// out of it are gaps.
func (s *Source) folder(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return s.tell("unreadable", dir, 0, "cannot be opened: %v", cause(err))
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return s.tell("unreadable", dir, 0, "cannot be listed: %v", cause(err))
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && isLog(e.Name()) {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return s.tell("no-events", dir, 0, "holds no .log, .json, .jsonl or .gz file")
	}
	slices.SortFunc(names, older)
	for i, name := range names {
		file := filepath.ToSlash(filepath.Join(dir, name))
		if i == maxFiles {
			return s.tell("too-many", dir, 0, "holds more than %d logs; %s and later ones were not read", maxFiles, name)
		}
		f, err := root.Open(name)
		if err != nil {
			if err := s.tell("unreadable", file, 0, "cannot be opened: %v", cause(err)); err != nil {
				return err
			}
			continue
		}
		err = s.stream(ctx, f, file)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// isLog reports whether a name is that of a log, or of a rotated part of one:
// audit.log, audit-2026-11-20T10-00-00.000.log.gz, audit.log.1.
func isLog(name string) bool {
	name, _ = rotation(strings.TrimSuffix(name, ".gz"))
	switch strings.ToLower(filepath.Ext(name)) {
	case ".log", ".json", ".jsonl", ".txt":
		return true
	}
	return false
}

// rotation splits the number of a rotated part off a name.
func rotation(name string) (string, int) {
	ext := filepath.Ext(name)
	if n, err := strconv.Atoi(strings.TrimPrefix(ext, ".")); err == nil && n >= 0 {
		return strings.TrimSuffix(name, ext), n
	}
	return name, 0
}

// older orders parts of logs by age: the API server puts a time into their
// names, logrotate counts upwards.
func older(a, b string) int {
	nameA, a2 := rotation(strings.TrimSuffix(a, ".gz"))
	nameB, b2 := rotation(strings.TrimSuffix(b, ".gz"))
	if nameA != nameB {
		return strings.Compare(nameA, nameB)
	}
	if a2 != b2 {
		return b2 - a2
	}
	return strings.Compare(a, b)
}

// cause strips the operation and path that an error of the os package repeats.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func (s *Source) tell(kind, file string, line int, format string, args ...any) error {
	return s.gap(fact.Gap{Kind: kind, Source: Name, File: file, Pos: fact.Pos{Line: uint32(line)}, Message: fmt.Sprintf(format, args...)})
}

// stream reads one log.
func (s *Source) stream(ctx context.Context, r io.Reader, file string) error {
	in := bufio.NewReaderSize(r, 1<<16)
	if head, _ := in.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return s.tell("unreadable", file, 0, "begins as gzip and is none: %v", err)
		}
		defer z.Close()
		in = bufio.NewReaderSize(z, 1<<16)
	}
	l := &log{source: s, file: file, in: in, names: map[string]string{}}
	for ctx.Err() == nil {
		more, err := l.next()
		if err != nil {
			return err
		}
		if !more {
			return l.end()
		}
	}
	return ctx.Err()
}
