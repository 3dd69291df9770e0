package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"strconv"
)

// Job is work that a child can do. It reads through files alone; what it returns
// is encoded as JSON. An error is shown to the user.
type Job func(input json.RawMessage, files Files) (any, error)

// maxStack is how deep a job may call itself, in bytes.
const maxStack = 128 << 20

// Serve is the child's side: it takes the limits of args, gives up what it does
// not need, and does one of the jobs.
func Serve(args []string, in io.Reader, out io.Writer, jobs map[string]Job) error {
	if len(args) != 2 {
		return errors.New("this command is for Merlon itself")
	}
	cpu, err := strconv.ParseUint(args[0], 10, 32)
	if err != nil {
		return errors.New("this command is for Merlon itself")
	}
	memory, err := strconv.ParseUint(args[1], 10, 63)
	if err != nil {
		return errors.New("this command is for Merlon itself")
	}
	debug.SetMaxStack(maxStack)
	debug.SetGCPercent(200)
	debug.SetMemoryLimit(int64(memory) / 2)
	startPoller()
	if err := confine(cpu, memory); err != nil {
		return fmt.Errorf("limit the process: %w", err)
	}
	s := &asker{in: bufio.NewReader(in), out: bufio.NewWriter(out)}
	_, data, err := readFrame(s.in, string([]byte{frameJob}))
	if err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	var j job
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	if err := writeFrame(s.out, frameResult, do(jobs[j.Name], j.Input, s)); err != nil {
		return err
	}
	return s.out.Flush()
}

// startPoller has the runtime take the file descriptors that it needs to wait for
// others: without them code that tries to open a socket would end the process
// instead of getting an error.
func startPoller() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}

func do(work Job, input json.RawMessage, files Files) (r result) {
	defer func() {
		if p := recover(); p != nil {
			r = result{Error: "the program that renders it gave up on it"}
		}
	}()
	if work == nil {
		return result{Error: "no such job"}
	}
	v, err := work(input, files)
	if err == nil {
		r.Output, err = json.Marshal(v)
	}
	if err != nil {
		return result{Error: err.Error()}
	}
	return r
}

// asker is the child's view of files: questions to its parent.
type asker struct {
	in  *bufio.Reader
	out *bufio.Writer
}

func (s *asker) ask(q ask) (answer, error) {
	var a answer
	if err := writeFrame(s.out, frameAsk, q); err != nil {
		return a, err
	}
	if err := s.out.Flush(); err != nil {
		return a, err
	}
	_, data, err := readFrame(s.in, string([]byte{frameAnswer}))
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return a, err
	}
	switch {
	case a.Missing:
		return a, &fs.PathError{Op: q.Op, Path: q.Name, Err: fs.ErrNotExist}
	case a.Error != "":
		return a, errors.New(a.Error)
	}
	return a, nil
}

func (s *asker) Read(name string) ([]byte, error) {
	a, err := s.ask(ask{"read", name})
	return a.Data, err
}

func (s *asker) List(name string) ([]Entry, error) {
	a, err := s.ask(ask{"list", name})
	return a.Entries, err
}
