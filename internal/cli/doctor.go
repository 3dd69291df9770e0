package cli

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/framework"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newDoctor(s Streams) *cobra.Command {
	f := &scanFlags{}
	cmd := &cobra.Command{
		Use:   "doctor [PATH]...",
		Short: "Checks what Merlon needs here, and says what a scan would use",
		Long: `Checks that what is built in loads and compiles, which configuration would apply
to a scan of PATH (default: the working folder), whether waivers and folders of
your own are valid, and what the machine gives: memory, processors, terminal.

Exit codes: 0 all is well, 2 wrong usage, 3 something is wrong.`,
		Example: `  merlon doctor
  merlon doctor deploy/ --waivers waivers.yaml
  merlon doctor --config ci/merlon.yaml`,
		RunE: func(_ *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				paths = []string{"."}
			}
			return (&checkup{Streams: s, flags: f, paths: paths}).run()
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.config, "config", "", "configuration `FILE`")
	fl.BoolVar(&f.trustTree, "trust-tree", false, "apply merlon.yaml also when it lies in PATH")
	fl.StringArrayVar(&f.waivers, "waivers", nil, "`FILE` of waivers (repeatable)")
	fl.StringArrayVar(&f.controlDirs, "controls", nil, "`DIR` with your own controls (repeatable)")
	fl.StringArrayVar(&f.frameworkDirs, "frameworks", nil, "`DIR` with your own frameworks (repeatable)")
	return cmd
}

// checkup is one run of the command.
type checkup struct {
	Streams
	flags *scanFlags
	paths []string
	wrong int
}

func (c *checkup) say(what, text string, problems ...error) {
	state := "ok"
	if len(problems) > 0 {
		state = "WRONG"
		c.wrong += len(problems)
	}
	fmt.Fprintf(c.Out, "%-6s %-14s %s\n", state, what, clean(text))
	for _, p := range problems {
		indented(c.Out, "                      ", p.Error())
	}
}

func (c *checkup) run() error {
	c.say("version", fmt.Sprintf("merlon %s, %s, %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH))
	c.configuration()
	list := c.controls()
	c.frameworks(list)
	c.waivers(list)
	c.say("output", outputText(c.Streams))
	c.say("memory", memoryText())
	c.say("processors", fmt.Sprintf("%d of %d used", runtime.GOMAXPROCS(0), runtime.NumCPU()))
	if c.wrong > 0 {
		return failed(fmt.Errorf("doctor: %s", plural(c.wrong, "problem")))
	}
	return nil
}

// configuration settles the flags of a scan as scan would, and judges them.
func (c *checkup) configuration() {
	f := &scanFlags{}
	fl := pflag.NewFlagSet("scan", pflag.ContinueOnError)
	f.register(fl)
	set := func(name string, values ...string) {
		for _, v := range values {
			if err := fl.Set(name, v); err != nil {
				c.say("flags", name, err)
			}
		}
	}
	if c.flags.config != "" {
		set("config", c.flags.config)
	}
	set("trust-tree", strconv.FormatBool(c.flags.trustTree))
	set("waivers", c.flags.waivers...)
	set("controls", c.flags.controlDirs...)
	set("frameworks", c.flags.frameworkDirs...)
	settled, err := settle(fl, f, c.paths)
	if err != nil {
		c.say("configuration", "cannot be applied", err)
		return
	}
	c.flags = f
	text := "none: no " + configName + " in the working folder"
	if settled.file != "" {
		text = settled.file + " applies"
	}
	for _, n := range settled.notices {
		text = n
	}
	var env []string
	fl.VisitAll(func(f *pflag.Flag) {
		if os.Getenv(variable(f.Name)) != "" {
			env = append(env, variable(f.Name))
		}
	})
	if len(env) > 0 {
		text += "; environment: " + strings.Join(env, ", ")
	}
	// What the scan reads by its flags is looked at below, file by file.
	rest := *f
	rest.waivers, rest.controlDirs, rest.frameworkDirs = nil, f.controlDirs, f.frameworkDirs
	if _, err := (&scan{Streams: c.Streams, flags: &rest, paths: c.paths, params: settled.params}).choose(); err != nil {
		c.say("configuration", text, err)
		return
	}
	c.say("configuration", text)
}

// controls reads and compiles every control.
func (c *checkup) controls() []*control.Control {
	list, errs := loadControls(c.flags.controlDirs)
	lib := control.NewLibrary()
	own := 0
	for _, x := range list {
		if !x.BuiltIn {
			own++
		}
		if _, err := x.Compile(lib, nil); err != nil {
			errs = append(errs, err)
		}
	}
	c.say("controls", fmt.Sprintf("%d built in, %d of your own, in %s", len(list)-own, own, families(list)), errs...)
	return list
}

// frameworks reads every framework, and looks for controls that name an item it
// does not have.
func (c *checkup) frameworks(list []*control.Control) {
	all, err := loadFrameworks(c.flags.frameworkDirs)
	errs := split(err)
	for _, stray := range answered(all, list) {
		errs = append(errs, errors.New(stray))
	}
	var names []string
	for _, f := range all {
		names = append(names, f.Name)
		for _, x := range list {
			for _, item := range x.Maps[f.Name].Items {
				if !slices.ContainsFunc(f.Items, func(it framework.Item) bool { return it.ID == item }) {
					errs = append(errs, fmt.Errorf("%s names item %s, which %s does not have", x.ID, item, f.Name))
				}
			}
		}
	}
	c.say("frameworks", strings.Join(names, ", "), errs...)
}

func (c *checkup) waivers(list []*control.Control) {
	if len(c.flags.waivers) == 0 {
		c.say("waivers", "no file given")
		return
	}
	aliases := aliasesOf(list)
	for _, name := range c.flags.waivers {
		waivers, err := readWaivers(name)
		errs := split(err)
		for _, w := range waivers {
			if now, ok := aliases[w.Control]; ok {
				w.Control = now
			}
			if w.Control != "" && !slices.ContainsFunc(list, func(x *control.Control) bool { return w.Names(x.ID) }) {
				errs = append(errs, fmt.Errorf("%s: no control is named %s", w.Place(), w.Control))
			}
		}
		c.say("waivers", fmt.Sprintf("%s: %s", name, plural(len(waivers), "waiver")), errs...)
	}
}

func outputText(s Streams) string {
	switch {
	case !terminal(s.Out):
		return "not a terminal: no colours"
	case os.Getenv("NO_COLOR") != "":
		return "terminal; no colours, as NO_COLOR asks"
	case !colorful(s.Out):
		return "terminal without colours (TERM=" + os.Getenv("TERM") + ")"
	}
	return "terminal with colours"
}

// memoryText tells the limits that hold for this process: those of its control
// group, of GOMEMLIMIT, and the one that a scan sets itself.
func memoryText() string {
	limit := "no limit of the control group"
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		data, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && n < 1<<60 {
			limit = fmt.Sprintf("control group limit %d MiB", n>>20)
		}
		break
	}
	if n := debug.SetMemoryLimit(-1); n < 1<<60 {
		limit += fmt.Sprintf(", GOMEMLIMIT %d MiB", n>>20)
	}
	return limit
}

func families(list []*control.Control) string {
	if n := len(familiesOf(list)); n != 1 {
		return fmt.Sprintf("%d families", n)
	}
	return "1 family"
}
