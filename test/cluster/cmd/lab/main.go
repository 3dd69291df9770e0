// Command lab runs real Kubernetes clusters on this machine for tests and for
// people. See README.md beside its module's go.mod.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/merlon-security/merlon/test/cluster"
	"github.com/merlon-security/merlon/test/cluster/smoke"
)

// command is one subcommand. args are what follows the flags.
type command struct {
	name, args, doc string
	ownFolder       bool // makes a new state folder when none is named
	run             func(ctx context.Context, o *options, args []string) error
}

func commands() []command {
	return []command{
		{"up", "", "start a cluster and leave it running", false, up},
		{"down", "", "end a cluster and remove all that it left; repeatable, also after a crash", false, down},
		{"run", "-- COMMAND...", "start a cluster, run a command with KUBECONFIG and MERLON_LAB_DIR set, end the cluster", true, run},
		{"kubeconfig", "", "print the kubeconfig of the administrator, or of --user in --group", false, kubeconfig},
		{"start", "PROGRAM [-- FLAG...]", "start one program of a cluster again, with more flags for this run, or --only those", false, start},
		{"stop", "PROGRAM", "stop one program of a cluster", false, stop},
		{"build", "", "build the programs into the cache and print their folder", false, build},
		{"check", "", "say what the machine lacks for a tier", false, check},
		{"install", "", "install the Debian packages of the node tiers (root)", false, install},
		{"smoke", "", "start a cluster, try it, end it, and compare the machine with before", true, smokeTest},
	}
}

// options are the flags of all subcommands.
type options struct {
	cluster.Config
	user   string
	groups list
	logs   string
	now    bool
	crash  bool
	only   bool
	flags  []string // as given
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	cancel()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "lab:", err)
	var exit *exitError
	var usage usageError
	switch {
	case errors.As(err, &exit):
		os.Exit(exit.code)
	case errors.As(err, &usage):
		os.Exit(2)
	}
	os.Exit(3)
}

// exitError says that the command of "run" did not succeed; its exit code
// becomes ours.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("run command: exit code %d", e.code) }

// usageError is a mistake in the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

func dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 || slices.Contains([]string{"help", "-h", "--help"}, args[0]) {
		printUsage(os.Stdout)
		return nil
	}
	i := slices.IndexFunc(commands(), func(c command) bool { return c.name == args[0] })
	if i < 0 {
		return usageError(fmt.Sprintf("no command %q (lab help lists them)", args[0]))
	}
	o := &options{Config: cluster.Config{Log: os.Stderr, Args: map[string][]string{}}}
	fs := newFlags(o)
	if err := fs.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return usageError(err.Error())
	}
	c := commands()[i]
	if o.Dir == "" && !c.ownFolder {
		o.Dir = cluster.DefaultDir()
	}
	o.flags = args[1:]
	return c.run(ctx, o, fs.Args())
}

func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet("lab", flag.ContinueOnError)
	fs.Func("tier", "cp (default), node or 2node", func(s string) error { o.Tier = cluster.Tier(s); return nil })
	fs.StringVar(&o.Dir, "dir", "", "state folder (default: one per user below the temporary folder; run and smoke: a new one)")
	fs.IntVar(&o.Port, "port", 0, "port of the API server, the next four are used too (default: free ones)")
	fs.StringVar(&o.ProxyMode, "proxy-mode", "", "of kube-proxy: iptables (default) or nftables")
	fs.StringVar(&o.AuditPolicy, "audit-policy", "", "file with an audit policy (default: bodies of everything but secrets)")
	fs.Func("arg", "PROGRAM:FLAG, more flags for a program, repeatable: kube-apiserver:--v=4", func(s string) error {
		name, value, ok := strings.Cut(s, ":")
		if !ok {
			return errors.New("want PROGRAM:FLAG")
		}
		o.Args[name] = append(o.Args[name], value)
		return nil
	})
	fs.StringVar(&o.Source, "source", "", "folder of the test cluster's module (default: found from the working folder)")
	fs.StringVar(&o.Kube, "kube", "", "folder of the module to build Kubernetes from (default: kube below --source)")
	fs.StringVar(&o.Cache, "cache", "", "folder for built programs (default: merlon/cluster below the user's cache folder)")
	fs.StringVar(&o.logs, "logs", "", "down, run: keep a copy of the logs in this folder")
	fs.BoolVar(&o.now, "now", false, "stop: with SIGKILL")
	fs.BoolVar(&o.only, "only", false, "start: with the named flags and none of the usual ones")
	fs.BoolVar(&o.crash, "crash", false, "smoke: kill the start at several moments and see that down leaves nothing")
	fs.StringVar(&o.user, "user", "", "kubeconfig: for this user instead of the administrator")
	fs.Var(&o.groups, "group", "kubeconfig: a group of the user, repeatable")
	return fs
}

func printUsage(w io.Writer) {
	fmt.Fprintln(w, "usage: lab COMMAND [FLAGS] [ARGUMENTS]")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-34s %s\n", strings.TrimSpace(c.name+" "+c.args), c.doc)
	}
	fmt.Fprintln(w, "flags:")
	fs := newFlags(&options{})
	fs.SetOutput(w)
	fs.PrintDefaults()
}

func up(ctx context.Context, o *options, _ []string) error {
	c, err := cluster.Up(ctx, o.Config)
	if err != nil {
		return err
	}
	fmt.Printf("export KUBECONFIG=%s PATH=%s:$PATH\n", c.Kubeconfig(), c.Programs())
	return nil
}

func down(ctx context.Context, o *options, _ []string) error {
	return errors.Join(keepLogs(o), cluster.Down(ctx, o.Dir))
}

// keepLogs copies the logs to where the user wants them.
func keepLogs(o *options) error {
	if o.logs == "" {
		return nil
	}
	if err := os.CopyFS(o.logs, os.DirFS(filepath.Join(o.Dir, "logs"))); err != nil {
		return fmt.Errorf("keep logs: %w", err)
	}
	return nil
}

func run(ctx context.Context, o *options, args []string) error {
	if len(args) == 0 {
		return usageError("run: no command")
	}
	return withCluster(ctx, o, func(c *cluster.Cluster) error {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = c.Environ()
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = 30 * time.Second
		err := cmd.Run()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() > 0 {
			return &exitError{exit.ExitCode()}
		}
		if err != nil {
			return fmt.Errorf("run command: %w", err)
		}
		return nil
	})
}

// withCluster starts a cluster in a folder of its own unless one is named, and
// ends it whatever use returns.
func withCluster(ctx context.Context, o *options, use func(*cluster.Cluster) error) error {
	remove, err := ownFolder(o)
	if err != nil {
		return err
	}
	defer remove()
	c, err := cluster.Up(ctx, o.Config)
	if err != nil {
		return err
	}
	err = use(c)
	return errors.Join(err, keepLogs(o), c.Down(context.WithoutCancel(ctx)))
}

// ownFolder makes a new state folder unless one is named.
func ownFolder(o *options) (remove func(), err error) {
	if o.Dir != "" {
		return func() {}, nil
	}
	if o.Dir, err = os.MkdirTemp("", "merlon-lab-"); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	// The cluster's end has removed it, unless it never began.
	return func() { os.Remove(o.Dir) }, nil
}

func kubeconfig(_ context.Context, o *options, _ []string) error {
	c, err := cluster.Open(o.Dir)
	if err != nil {
		return err
	}
	var b []byte
	if o.user == "" {
		b, err = os.ReadFile(c.Kubeconfig())
	} else {
		b, err = c.KubeconfigFor(o.user, o.groups...)
	}
	if err != nil {
		return fmt.Errorf("make kubeconfig: %w", err)
	}
	_, err = os.Stdout.Write(b)
	return err
}

func start(ctx context.Context, o *options, args []string) error {
	if len(args) == 0 {
		return usageError("start: no program")
	}
	c, err := cluster.Open(o.Dir)
	if err != nil {
		return err
	}
	flags := args[1:]
	if len(flags) > 0 && flags[0] == "--" {
		flags = flags[1:]
	}
	begin := c.Start
	if o.only {
		begin = c.StartWith
	}
	if err := begin(args[0], flags...); err != nil {
		return err
	}
	if args[0] == "kube-apiserver" || args[0] == "etcd" {
		return c.WaitReady(ctx)
	}
	return nil
}

func stop(ctx context.Context, o *options, args []string) error {
	if len(args) != 1 {
		return usageError("stop: want one program")
	}
	c, err := cluster.Open(o.Dir)
	if err != nil {
		return err
	}
	return c.Stop(ctx, args[0], o.now)
}

func build(ctx context.Context, o *options, _ []string) error {
	bin, err := cluster.Build(ctx, o.Config)
	if err != nil {
		return err
	}
	fmt.Println(bin.Programs)
	return nil
}

func check(_ context.Context, o *options, _ []string) error {
	if missing := cluster.Missing(o.Tier, o.ProxyMode); len(missing) > 0 {
		return &cluster.MissingError{Tier: o.Tier, What: missing}
	}
	fmt.Println("nothing is missing")
	return nil
}

func install(ctx context.Context, o *options, _ []string) error {
	return cluster.Install(ctx, o.Config)
}

func smokeTest(ctx context.Context, o *options, _ []string) error {
	remove, err := ownFolder(o)
	if err != nil {
		return err
	}
	defer remove()
	if o.crash {
		lab, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find own program: %w", err)
		}
		return smoke.Crash(ctx, o.Config, append([]string{lab, "up"}, o.flags...))
	}
	return smoke.Run(ctx, o.Config)
}
