// Package cli is Merlon's command line: one file for each command. It is the
// only place that wires sources, engine and sinks together.
package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitClean    = 0 // nothing at or above --fail-on
	exitFindings = 1 // findings at or above --fail-on
	exitUsage    = 2 // the command line is wrong
	exitFailed   = 3 // Merlon could not do it, or not all of it
)

// Streams are what a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// exitError ends the program with a code of its own; a nil err says nothing.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }
func (e *exitError) Unwrap() error { return e.err }

func failed(err error) error { return &exitError{exitFailed, err} }
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// Main runs one command and returns the exit code.
func Main(args []string, s Streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	err := root.Execute()
	var e *exitError
	switch {
	case err == nil:
		return exitClean
	case errors.As(err, &e):
		if e.err != nil {
			fmt.Fprintln(s.Err, "merlon:", clean(e.err.Error()))
		}
		return e.code
	}
	fmt.Fprintln(s.Err, "merlon:", clean(err.Error()))
	return exitUsage
}

func newRoot(s Streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "merlon",
		Short:         "Finds and mends what is wrong with the security of Kubernetes",
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.AddCommand(newScan(s), newControls(s), newVersion(s))
	return root
}
