// Stage runs one stage of the tests and says what it cost: CPU seconds of all
// its processes, and wall time. Its exit code is the command's.
//
//	stage NAME COMMAND [ARG]...
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: stage NAME COMMAND [ARG]...")
		os.Exit(2)
	}
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	begin := time.Now()
	err := cmd.Run()
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = max(1, exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "stage:", err)
		os.Exit(3)
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	state := "passed"
	if code != 0 {
		state = "FAILED"
	}
	fmt.Printf("stage %-14s %s  %7.1f CPU seconds  %6.1f s\n", os.Args[1], state, cpu.Seconds(), time.Since(begin).Seconds())
	os.Exit(code)
}
