// Package sandbox runs foreign code, such as the templates of a chart, in a
// child process of Merlon's own binary.
//
// The child has limits of time and memory, no environment, no network where the
// kernel allows, and can open no file and no socket: before it reads its job it
// gives up the right to new file descriptors. What it needs to read it asks its
// parent for, over a protocol of frames on standard input and output. The parent
// believes nothing that comes back: broken output is a [Failure].
package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strings"
	"time"
)

// Command is the hidden command under which the binary serves as a child.
const Command = "__render"

// Files answers what a child asks to read. A name is relative to the root of
// what is scanned, with slashes, and may be hostile. Errors that are
// fs.ErrNotExist are told as such; all others end the child's job.
type Files interface {
	Read(name string) ([]byte, error)
	List(name string) ([]Entry, error)
}

// Entry is one name in a folder.
type Entry struct {
	Name string
	Dir  bool `json:",omitempty"`
}

// Limits bound a child. A zero field means its default.
type Limits struct {
	Time   time.Duration // of the clock and of each of its processors; 60 s, 30 s
	CPU    time.Duration
	Memory int64 // bytes that it may allocate; 1 GiB
}

const (
	defaultTime   = 60 * time.Second
	defaultCPU    = 30 * time.Second
	defaultMemory = 1 << 30
)

func (l Limits) settled() Limits {
	if l.Time <= 0 {
		l.Time = defaultTime
	}
	if l.CPU <= 0 {
		l.CPU = defaultCPU
	}
	if l.Memory <= 0 {
		l.Memory = defaultMemory
	}
	return l
}

// Kinds of failures.
const (
	TimeLimit   = "time"
	MemoryLimit = "memory"
	Broken      = "broken" // it died, or what it wrote is no answer
	NotStarted  = "not-started"
)

// Failure is a child that did not come to an end by itself.
type Failure struct {
	Kind    string
	Message string
}

func (f *Failure) Error() string { return f.Message }

// Refusal is what a job itself says that it cannot do.
type Refusal struct{ Message string }

func (r *Refusal) Error() string { return r.Message }

// Runner starts children. It is safe for concurrent use.
type Runner struct {
	Self   []string // the binary and the name it goes by; empty where there is none
	Limits Limits
}

// Run has a child do a job. Output is filled from what it answers. The error is
// a *Failure, a *Refusal, or that of ctx.
func (r *Runner) Run(ctx context.Context, name string, input any, files Files, output any) error {
	if len(r.Self) == 0 {
		return &Failure{NotStarted, "this program cannot start a process for it"}
	}
	in, err := json.Marshal(input)
	if err != nil {
		return fmt.Errorf("describe job %s: %w", name, err)
	}
	limits := r.Limits.settled()
	timed, cancel := context.WithTimeout(ctx, limits.Time)
	defer cancel()
	c, err := r.start(timed, limits)
	if err != nil {
		return &Failure{NotStarted, "no process could be started for it: " + err.Error()}
	}
	res, err := c.talk(job{name, in}, files)
	late := timed.Err() != nil
	c.stdin.Close()
	if err != nil {
		cancel() // it may wait for an answer that never comes
	}
	waited := c.cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return c.why(late, limits, err, waited)
	case res.Error != "":
		return &Refusal{res.Error}
	}
	if err := json.Unmarshal(res.Output, output); err != nil {
		return &Failure{Broken, "the process gave no answer that can be read"}
	}
	return nil
}

// child is one running process.
type child struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *tail
}

// start runs the binary, without network and other processes in sight where the
// kernel lets a user have that, else without these fences: the child cannot open
// a socket in any case.
func (r *Runner) start(ctx context.Context, l Limits) (*child, error) {
	var last error
	for _, fenced := range []bool{true, false} {
		cmd := exec.CommandContext(ctx, r.Self[0], Command, fmt.Sprint(int64(l.CPU.Seconds())), fmt.Sprint(l.Memory))
		cmd.Args[0] = r.Self[len(r.Self)-1]
		cmd.Env, cmd.Dir = []string{"GOMAXPROCS=2", "GOTRACEBACK=none"}, "/"
		cmd.WaitDelay = time.Second
		c := &child{cmd: cmd, stderr: &tail{}}
		cmd.Stderr = c.stderr
		fence(cmd, fenced)
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if last = cmd.Start(); last == nil {
			c.stdin, c.stdout = in, bufio.NewReader(out)
			return c, nil
		}
	}
	return nil, last
}

// maxAsks is how many questions a child may put.
const maxAsks = 200_000

// talk gives the child its job, answers its questions and returns its result.
func (c *child) talk(j job, files Files) (result, error) {
	if err := writeFrame(c.stdin, frameJob, j); err != nil {
		return result{}, err
	}
	for range maxAsks {
		kind, data, err := readFrame(c.stdout, string([]byte{frameAsk, frameResult}))
		if err != nil {
			return result{}, err
		}
		if kind == frameResult {
			var res result
			if err := json.Unmarshal(data, &res); err != nil {
				return result{}, errFrame
			}
			return res, nil
		}
		var q ask
		if err := json.Unmarshal(data, &q); err != nil {
			return result{}, errFrame
		}
		if err := writeFrame(c.stdin, frameAnswer, found(files, q)); err != nil {
			return result{}, err
		}
	}
	return result{}, errFrame
}

func found(files Files, q ask) answer {
	var a answer
	var err error
	switch q.Op {
	case "read":
		a.Data, err = files.Read(q.Name)
	case "list":
		a.Entries, err = files.List(q.Name)
	default:
		err = fmt.Errorf("unknown question")
	}
	if err != nil {
		a = answer{Missing: errors.Is(err, fs.ErrNotExist), Error: err.Error()}
	}
	return a
}

// why says what became of a child that gave no result.
func (c *child) why(late bool, l Limits, err, waited error) error {
	said := c.stderr.String()
	state := c.cmd.ProcessState
	switch {
	case strings.Contains(said, "out of memory"), strings.Contains(said, "cannot allocate memory"), strings.Contains(said, "memory limit"):
		return &Failure{MemoryLimit, fmt.Sprintf("it wanted more than %d MiB of memory and was stopped", l.Memory>>20)}
	case strings.Contains(said, "stack exceeds"), strings.Contains(said, "stack overflow"):
		return &Failure{MemoryLimit, "it calls itself without an end and was stopped"}
	case late:
		return &Failure{TimeLimit, fmt.Sprintf("it took longer than %v and was stopped", l.Time)}
	case state != nil && state.UserTime()+state.SystemTime() >= l.CPU/2 && waited != nil && waited.Error() == killed,
		state != nil && state.UserTime()+state.SystemTime() >= l.CPU*9/10:
		return &Failure{TimeLimit, fmt.Sprintf("it took more than %v of processor time and was stopped", l.CPU)}
	case errors.Is(err, errFrame):
		return &Failure{Broken, "the process wrote what is no answer and was stopped"}
	}
	return &Failure{Broken, fmt.Sprintf("the process ended before its answer: %v", waited)}
}

// killed is how a process ends at its limit of processor time. The kernel counts
// for the limit in ticks, which on a busy machine are more than the time that it
// reports.
const killed = "signal: killed"

// tail keeps the beginning of what a child says before it dies.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	if room := 8<<10 - t.Len(); room > 0 {
		t.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
