// Package cli is Merlon's command line: one file for each command. It is the
// only place that wires sources, engine and sinks together.
package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	_ "github.com/merlon-security/merlon/internal/cli/pace" // before libraries are initialised
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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

	// Self starts this program once more: its file, and the name it goes by. Charts
	// and overlays are rendered in such a process; without it they are gaps.
	Self []string
}

// exitError ends the program with a code of its own; a nil err says nothing.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }
func (e *exitError) Unwrap() error { return e.err }

// in puts a place before the message.
func (e *exitError) in(place string) error {
	return &exitError{e.code, fmt.Errorf("%s%w", place, e.err)}
}

func failed(err error) error { return &exitError{exitFailed, err} }
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// noArgs is for commands that take flags only.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument but flags, and was given %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// Main runs one command and returns the exit code.
func Main(args []string, s Streams) int { return MainAs("merlon", args, s) }

// MainAs runs one command under the name that the program was started by. As
// kubectl-merlon it is a plug-in of kubectl and calls itself so; by
// kubectl_complete-merlon kubectl asks it to complete its arguments.
func MainAs(program string, args []string, s Streams) int {
	root := newRoot(s)
	switch strings.TrimSuffix(filepath.Base(program), ".exe") {
	case "kubectl-merlon":
		asPlugin(root)
	case "kubectl_complete-merlon":
		args = append([]string{cobra.ShellCompRequestCmd}, args...)
	}
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
		Use:   "merlon",
		Short: "Finds and mends what is wrong with the security of Kubernetes",
		Long: `Finds what is wrong with the security of Kubernetes, says why it matters and
how to mend it. Reads what you name and nothing else; needs no network.`,
		Example: `  merlon scan deploy/
  merlon scan chart/ --values prod.yaml
  merlon scan --cluster
  merlon explain workload/privileged-container`,
		SilenceErrors: true, SilenceUsage: true,
		Args: subcommand, RunE: help,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(badFlag)
	root.AddCommand(newScan(s), newWatch(s), newSnapshot(s), newFix(s), newHarden(s), newDiff(s), newPermissions(s), newExplain(s), newControls(s), newFrameworks(s), newDoctor(s), newRbac(s), newNet(s), newVersion(s), newCompletion(s), newDocs(s), newRender(s))
	root.SetHelpCommand(newHelp())
	return root
}

// asPlugin makes usage lines and examples those of a plug-in of kubectl.
func asPlugin(root *cobra.Command) {
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl merlon"}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		c.Example = strings.ReplaceAll(c.Example, "merlon ", "kubectl merlon ")
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explains a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return subcommand(c, rest)
			}
			return c.Help()
		},
	}
}

// help is what a command does that only has others below it.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// subcommand refuses what is no command, with the names most like it.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			known = append(known, c.Name())
		}
	}
	return unknown("command", args[0], known, cmd.CommandPath()+" --help")
}

// badFlag explains a flag that cannot be read, with the names most like it.
func badFlag(cmd *cobra.Command, err error) error {
	name, isUnknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !isUnknown {
		return usage("%v; see %s --help", err, cmd.CommandPath())
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	hint := "see " + cmd.CommandPath() + " --help"
	if near := nearest(name, known); len(near) > 0 {
		hint = "did you mean --" + near[0] + "? See " + cmd.CommandPath() + " --help"
	}
	return usage("%s has no flag --%s: %s", cmd.CommandPath(), name, hint)
}
