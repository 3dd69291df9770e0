// Command merlon finds and mends what is wrong with the security of Kubernetes.
package main

import (
	"os"

	"github.com/merlon-security/merlon/internal/cli"
)

func main() {
	os.Exit(cli.MainAs(os.Args[0], os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
