package cli

import (
	"fmt"
	"strings"

	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/spf13/pflag"
)

// settingsPage explains what can be configured, from the flags themselves.
func settingsPage() string {
	var b strings.Builder
	b.WriteString(printed + "# Configuration\n\n")
	b.WriteString("A flag of `merlon scan` is stronger than the environment, the environment than `merlon.yaml` of the working folder. A\n`merlon.yaml` that lies in what is scanned does not apply, unless `--config` names it or `--trust-tree` is given.\n\n")
	b.WriteString("## merlon.yaml\n\n```yaml\nscan:                    # flags by their long names\n  fail-on: medium\n  framework: [nsa, pss-restricted]\ncontrols:                # settings of single controls; merlon explain ID lists them\n  workload/privileged-container:\n    params: {explicit: true}\n```\n\nAn unknown key is an error.\n\n")
	b.WriteString("| key under `scan` | environment | default | |\n|---|---|---|---|\n")
	fl := pflag.NewFlagSet("scan", pflag.ContinueOnError)
	(&scanFlags{}).register(fl)
	fl.VisitAll(func(f *pflag.Flag) {
		key, value := "`"+f.Name+"`", f.DefValue
		if f.Name == "config" || f.Name == "trust-tree" {
			key = "(flag and environment only)"
		}
		if f.Value.Type() == "stringArray" {
			value = strings.Trim(value, "[]")
		}
		if value != "" {
			value = "`" + value + "`"
		}
		_, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", key, variable(f.Name), value, cell(strings.ReplaceAll(usage, "`", "")))
	})
	b.WriteString(`
Several values of one variable are written with commas between them.

## Other variables

| variable | |
|---|---|
| ` + "`NO_COLOR`" + ` | no colours at a terminal |
| ` + "`SOURCE_DATE_EPOCH`" + ` | the time, in seconds, that reports carry which must carry one (ocsf, gitlab-sast, openreports); the others are the same bytes for the same input anyway |
| ` + "`GOGC`" + ` | memory against time, as in any Go program |

## Files

| file | |
|---|---|
| ` + "`.merlonignore`" + ` | patterns of files to leave out, for its folder, in the form of ` + "`.gitignore`" + ` |
| waivers, named by ` + "`--waivers`" + ` | ` + "`waivers:`" + `, a list of: ` + "`control`, `id`, `kind`, `namespace`, `name`, `container`, `file`, `by`, `reason`, `until`" + ` |
| ` + "`# merlon:waive CONTROL until=DATE reason=TEXT`" + ` | a comment in a manifest; the annotation ` + "`" + annotation + "`" + ` does the same |
`)
	return b.String()
}

// outputsPage lists what a scan can write.
func outputsPage() string {
	var b strings.Builder
	b.WriteString(printed + "# Outputs\n\n`merlon scan -o FORMAT` writes to standard output, `-o FORMAT=FILE` into a file; several can be given. A file is made\nbeside its place and moved there when it is whole.\n\n| format | what it is | example |\n|---|---|---|\n")
	for _, k := range builtin.Sinks() {
		fmt.Fprintf(&b, "| `%s` | %s | `%s` |\n", k.Name, cell(k.Doc), k.Example)
	}
	b.WriteString("\nEvery output tells gaps. Names from manifests are escaped in each for the place where it is read, so that they cannot\nspeak to a terminal, a browser, a spreadsheet or a pipeline.\n")
	return b.String()
}
