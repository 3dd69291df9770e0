//go:build linux

package node

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"golang.org/x/sys/unix"
)

// sysctls are the kernel settings that are told.
var sysctls = []string{
	"fs.protected_fifos", "fs.protected_hardlinks", "fs.protected_regular", "fs.protected_symlinks", "fs.suid_dumpable",
	"kernel.dmesg_restrict", "kernel.keys.root_maxkeys", "kernel.kptr_restrict", "kernel.modules_disabled", "kernel.panic", "kernel.panic_on_oops",
	"kernel.perf_event_paranoid", "kernel.randomize_va_space", "kernel.unprivileged_bpf_disabled", "kernel.unprivileged_userns_clone",
	"kernel.yama.ptrace_scope", "net.ipv4.conf.all.accept_redirects", "net.ipv4.conf.all.route_localnet", "net.ipv4.conf.all.rp_filter", "net.ipv4.ip_forward",
	"net.ipv6.conf.all.accept_ra", "user.max_user_namespaces", "vm.overcommit_memory", "vm.unprivileged_userfaultfd",
}

// hostFacts reports the machine itself.
func (s *Source) hostFacts(all []*process) {
	spec := map[string]any{}
	settings := map[string]any{}
	own := s.ownNetwork()
	for _, name := range sysctls {
		if !own && strings.HasPrefix(name, "net.") {
			continue
		}
		if text, err := s.host.read("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), 4096); err == nil {
			settings[name] = strings.TrimSpace(string(text))
		}
	}
	spec["sysctls"] = settings
	if name := s.distribution(all); name != "" {
		spec["distribution"] = name
	}
	spec["kernel"] = s.line("/proc/sys/kernel/osrelease")
	if list := s.line("/sys/kernel/security/lsm"); list != "" {
		spec["securityModules"] = strings.Split(list, ",")
	}
	if text, err := s.host.read("/etc/os-release", maxConfig); err == nil {
		spec["system"] = osRelease(text)
	}
	spec["modules"] = s.firstWords("/proc/modules")
	spec["cgroups"] = s.cgroups()
	if swaps := s.firstWords("/proc/swaps"); len(swaps) > 1 {
		spec["swap"] = swaps[1:]
	}
	if ssh := s.ssh(); ssh != nil {
		spec["ssh"] = ssh
	}
	if plugins := s.networkPlugins(); len(plugins) > 0 {
		spec["networkPlugins"] = plugins
	}
	var names []string
	for _, p := range all {
		names = append(names, p.component)
	}
	spec["components"] = slices.Compact(names)
	s.fact("NodeHost", s.node, "", spec)
}

// ownNetwork tells whether the settings of the kernel below net. that can be read
// are the machine's: whatever /proc they are read from, they are those of the
// network namespace of who reads.
func (s *Source) ownNetwork() bool {
	machine, err := s.networkOf()
	if errors.Is(err, fs.ErrNotExist) {
		return true // a copy of a machine's files
	}
	own, ownErr := os.Readlink("/proc/self/ns/net")
	if err == nil && ownErr == nil && own == machine || err != nil && cmp.Or(s.Root, "/") == "/" {
		return true
	}
	s.gap("other-network", "/proc/sys/net", "the settings of the kernel below net. are not known: Merlon runs in another network than the machine's; a pod needs hostNetwork")
	return false
}

// networkOf names the network namespace of the machine's first process.
func (s *Source) networkOf() (string, error) {
	f, err := s.host.open("/proc/1/ns", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return readlink(&tree{fd: int(f.Fd())}, "net")
}

func (s *Source) line(name string) string {
	text, err := s.host.read(name, 65536)
	if err != nil {
		return ""
	}
	return firstLine(text)
}

func (s *Source) firstWords(name string) []string {
	text, err := s.host.read(name, maxConfig)
	if err != nil {
		return nil
	}
	var out []string
	for line := range bytes.Lines(text) {
		if f := bytes.Fields(line); len(f) > 0 && len(out) < maxEntries {
			out = append(out, string(f[0]))
		}
	}
	return out
}

// cgroups tells which version the machine uses, by what is mounted.
func (s *Source) cgroups() string {
	text, err := s.host.read("/proc/1/mounts", maxConfig)
	if err != nil {
		return ""
	}
	v1, v2 := bytes.Contains(text, []byte(" cgroup ")), bytes.Contains(text, []byte(" cgroup2 "))
	switch {
	case v1 && v2:
		return "hybrid"
	case v1:
		return "v1"
	case v2:
		return "v2"
	}
	return ""
}

func osRelease(text []byte) map[string]any {
	out := map[string]any{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && slices.Contains([]string{"ID", "VERSION_ID", "PRETTY_NAME"}, name) {
			out[strings.ToLower(name)] = strings.Trim(value, `"'`)
		}
	}
	return out
}

// ssh tells whether an SSH server runs or starts with the machine, and the
// settings of its file that say who may log in; nil where /proc cannot be read.
func (s *Source) ssh() map[string]any {
	names, err := s.host.list("/proc")
	if err != nil {
		return nil
	}
	running := false
	for _, n := range names {
		if n[0] < '0' || n[0] > '9' {
			continue
		}
		if text, err := s.host.read("/proc/"+n+"/comm", 64); err == nil && (firstLine(text) == "sshd" || firstLine(text) == "dropbear") {
			running = true
			break
		}
	}
	enabled := false
	for _, unit := range [...]string{"ssh.service", "sshd.service", "ssh.socket", "sshd.socket"} {
		for _, target := range [...]string{"multi-user.target.wants", "sockets.target.wants"} {
			if names, err := s.host.list(path.Join("/etc/systemd/system", target)); err == nil && slices.Contains(names, unit) {
				enabled = true
			}
		}
	}
	return map[string]any{"running": running, "enabled": enabled, "settings": s.sshSettings()}
}

// sshSettings reads /etc/ssh/sshd_config up to its first Match block; the first
// value of a name counts, as for sshd itself, and drop-ins come first.
func (s *Source) sshSettings() map[string]any {
	out := map[string]any{}
	files := []string{}
	if names, err := s.host.list("/etc/ssh/sshd_config.d"); err == nil {
		for _, n := range names {
			if strings.HasSuffix(n, ".conf") {
				files = append(files, "/etc/ssh/sshd_config.d/"+n)
			}
		}
	}
	for _, f := range append(files, "/etc/ssh/sshd_config") {
		text, err := s.host.read(f, maxConfig)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(strings.Replace(line, "=", " ", 1))
			if len(words) > 0 && strings.EqualFold(words[0], "match") {
				break
			}
			if len(words) < 2 || strings.HasPrefix(words[0], "#") {
				continue
			}
			name := strings.ToLower(words[0])
			if _, known := out[name]; !known && slices.Contains([]string{"permitrootlogin", "passwordauthentication", "permitemptypasswords", "x11forwarding"}, name) {
				out[name] = strings.ToLower(words[1])
			}
		}
	}
	return out
}

// networkPlugins reports the files of the network plugin and returns the kinds
// of plugins that they name.
func (s *Source) networkPlugins() []string {
	const dir = "/etc/cni/net.d"
	names, err := s.host.list(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, n := range names {
		if ext := path.Ext(n); ext != ".conf" && ext != ".conflist" && ext != ".json" {
			continue
		}
		name := path.Join(dir, n)
		s.file(s.host, "cni-config", "", name)
		text, err := s.host.read(name, maxConfig)
		if err != nil {
			s.gap("unreadable", name, "the network plugin's configuration cannot be read: %v", cause(err))
			continue
		}
		docs, err := s.parse(text, name, false)
		if err != nil {
			s.gap("invalid-json", name, "the network plugin's configuration cannot be read")
			continue
		}
		for _, d := range docs {
			out = append(out, d.Get(fact.K("type")).Str())
			for p := range d.Get(fact.K("plugins")).Children() {
				out = append(out, p.Get(fact.K("type")).Str())
			}
		}
	}
	out = slices.DeleteFunc(out, func(p string) bool { return p == "" })
	slices.Sort(out)
	return slices.Compact(out)
}
