package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// output is one -o of the command line.
type output struct {
	sink sink.Sink
	file *os.File // nil for standard output
	name string
}

// open makes the sinks. Files are made beside their place and moved there when
// they are whole, so that a failed scan leaves no half report.
func (s *scan) open() ([]output, error) {
	var outs []output
	stdout := 0
	now, err := scanTime()
	if err != nil {
		return nil, err
	}
	for _, o := range s.flags.outputs {
		format, name, toFile := strings.Cut(o, "=")
		kind, ok := config.Find(builtin.Sinks(), format)
		if !ok {
			return nil, usage("-o: unknown format %q: one of %s", format, sinkNames())
		}
		out := output{name: name}
		w := s.Out
		if toFile {
			if name == "" {
				return nil, usage("-o %s=: needs a file name", format)
			}
			f, err := os.CreateTemp(dirOf(name), ".merlon-*")
			if err != nil {
				return nil, failed(fmt.Errorf("write %s: %w", name, err))
			}
			out.file, w = f, f
		} else if stdout++; stdout > 1 {
			return nil, usage("-o: only one format can go to standard output; name a file for the others, -o %s=FILE", format)
		}
		out.sink, err = kind.New(func(v any) error {
			*v.(*sink.Output) = sink.Output{W: w, Color: !toFile && colorful(s.Out), Target: s.targets(), Time: now}
			return nil
		})
		if err != nil {
			return nil, failed(err)
		}
		outs = append(outs, out)
	}
	return outs, nil
}

// scanTime is the time that reports carry which must carry one. See
// reproducible-builds.org/specs/source-date-epoch.
func scanTime() (time.Time, error) {
	v := os.Getenv("SOURCE_DATE_EPOCH")
	if v == "" {
		return time.Now().UTC(), nil
	}
	seconds, err := strconv.ParseInt(v, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, usage("SOURCE_DATE_EPOCH: %q is no count of seconds", v)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func dirOf(name string) string {
	if i := strings.LastIndexByte(name, os.PathSeparator); i > 0 {
		return name[:i]
	}
	return "."
}

func sinkNames() string {
	var names []string
	for _, k := range builtin.Sinks() {
		names = append(names, k.Name)
	}
	return strings.Join(names, ", ")
}

func publish(ctx context.Context, r *finding.Report, outs []output) error {
	var errs []error
	for _, o := range outs {
		err := o.sink.Publish(ctx, r)
		if o.file != nil {
			err = errors.Join(err, o.file.Chmod(0o644), o.file.Close())
			if err == nil {
				err = os.Rename(o.file.Name(), o.name)
			}
			if err != nil {
				os.Remove(o.file.Name())
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("write report: %w", err))
		}
	}
	return errors.Join(errs...)
}

// colorful reports whether w is a terminal whose user did not ask for plain
// text. See no-color.org.
func colorful(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && terminal(w)
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress tells a person at a terminal how far a long scan is.
type progress struct {
	seen atomic.Int64
	done chan struct{}
	over chan struct{}
}

func newProgress(w io.Writer) *progress {
	p := &progress{done: make(chan struct{}), over: make(chan struct{})}
	if !terminal(w) || os.Getenv("TERM") == "dumb" {
		close(p.over)
		return p
	}
	go func() {
		defer close(p.over)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		shown := false
		for {
			select {
			case <-p.done:
				if shown {
					fmt.Fprint(w, "\r\x1b[K")
				}
				return
			case <-tick.C:
				shown = true
				fmt.Fprintf(w, "\r\x1b[K%d objects read", p.seen.Load())
			}
		}
	}()
	return p
}

func (p *progress) objects(n int) { p.seen.Store(int64(n)) }

func (p *progress) stop() {
	close(p.done)
	<-p.over
}
