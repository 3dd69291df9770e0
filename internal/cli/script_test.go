package cli

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run the command `merlon`, which is this test binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"merlon":                  func() { os.Exit(MainAs("/usr/bin/merlon", os.Args[1:], std())) },
		"kubectl-merlon":          func() { os.Exit(MainAs("/usr/bin/kubectl-merlon", os.Args[1:], std())) },
		"kubectl_complete-merlon": func() { os.Exit(MainAs("/usr/bin/kubectl_complete-merlon", os.Args[1:], std())) },
	})
}

// std are the streams of a process, which can start itself for charts.
func std() Streams {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Self: []string{self, os.Args[0]}}
}

// Each file of testdata/script is one situation: commands, what they print, and
// their exit codes, by `code N merlon …`. -update rewrites the outputs that a
// script compares with.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": exitCode},
	})
}

// exitCode runs a command and holds it to an exit code.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND [ARGS]...")
	}
	want := args[0]
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		status, ok := err.(interface{ ExitCode() int })
		if !ok {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = string(rune('0' + status.ExitCode()))
	}
	if got != want {
		ts.Fatalf("exit code %s, want %s", got, want)
	}
}
