package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// MissingError says what the machine lacks for a tier.
type MissingError struct {
	Tier Tier
	What []string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("this machine cannot run tier %s; missing: %s", e.Tier, strings.Join(e.What, "; "))
}

// need is a program the node tiers call, and the Debian package that has it.
type need struct{ program, pkg string }

func needs(proxyMode string) []need {
	list := []need{
		{"containerd", "containerd"},
		{"containerd-shim-runc-v2", "containerd"},
		{"ctr", "containerd"},
		{"runc", "runc"},
		{"ip", "iproute2"},
		{"nsenter", "util-linux"},
		{"iptables", "iptables"}, // kube-proxy, and the CNI plugin portmap in either mode
		{"conntrack", "conntrack"},
		{"busybox", "busybox-static"},
	}
	if proxyMode == "nftables" {
		list = append(list, need{"nft", "nftables"})
	}
	return list
}

// packages are the Debian packages that Install installs.
func packages() []string {
	return []string{"busybox-static", "conntrack", "containerd", "containernetworking-plugins", "iproute2", "iptables", "nftables", "runc", "util-linux"}
}

// Missing says what the machine lacks to run the tier, and how to get it:
// nothing when the tier can run. A control plane needs only Go.
func Missing(tier Tier, proxyMode string) []string {
	if len(tier.nodes()) == 0 {
		return nil
	}
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	for _, n := range needs(proxyMode) {
		if _, err := exec.LookPath(n.program); err != nil {
			missing = append(missing, fmt.Sprintf("program %s (Debian package %s: lab install)", n.program, n.pkg))
		}
	}
	if _, err := cniPlugins(); err != nil {
		missing = append(missing, "CNI plugins (Debian package containernetworking-plugins: lab install)")
	}
	if dirs := cgroupRoots(); len(dirs) == 0 {
		missing = append(missing, "a writable cgroup hierarchy")
	}
	if b, err := os.ReadFile("/proc/filesystems"); err == nil && !strings.Contains(string(b), "\toverlay\n") {
		missing = append(missing, "the kernel's overlay file system")
	}
	if len(missing) == 0 {
		missing = refused()
	}
	return missing
}

// refused tries what the nodes do to the machine, in namespaces that are gone
// with each try, and says what it does not let us: root in a container may be
// root in name only.
func refused() []string {
	dir, err := os.MkdirTemp("", "lab-try-")
	if err != nil {
		return []string{err.Error()}
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return []string{err.Error()}
		}
	}
	overlay := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
	var out []string
	for what, argv := range map[string][]string{
		"network links between namespaces":            {"ip", "link", "add", "labtry0", "type", "veth", "peer", "name", "labtry1"},
		"network bridges":                             {"ip", "link", "add", "labtry2", "type", "bridge"},
		"the kernel's address translation (iptables)": {"iptables", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE"},
		"mounts":                               {"mount", "-t", "tmpfs", "none", dir + "/merged"},
		"overlay mounts below " + os.TempDir(): {"mount", "-t", "overlay", "-o", overlay, "none", dir + "/merged"},
	} {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
		if text, err := cmd.CombinedOutput(); err != nil {
			out = append(out, fmt.Sprintf("%s (%s: %v)", what, strings.TrimSpace(string(text)), err))
		}
	}
	slices.Sort(out)
	return out
}

// cniPlugins returns the folder that holds the CNI plugins: Debian's, or the
// one that most other systems use.
func cniPlugins() (string, error) {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		lacks := slices.ContainsFunc([]string{"bridge", "host-local", "loopback", "portmap"}, func(name string) bool {
			_, err := os.Stat(filepath.Join(dir, name))
			return err != nil
		})
		if !lacks {
			return dir, nil
		}
	}
	return "", errors.New("find CNI plugins: none in the usual folders")
}

// Install installs the Debian packages of the node tiers that are not there
// yet. It needs root and apt-get. Calling it again does nothing.
func Install(ctx context.Context, cfg Config) error {
	say := sayer(cfg.Log)
	absent, err := absentPackages(ctx)
	if err != nil || len(absent) == 0 {
		return err
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("install %s: root is needed", strings.Join(absent, " "))
	}
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-y", "-q", "--no-install-recommends"}, absent...)} {
		say("apt-get %s", strings.Join(args, " "))
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("run apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

func absentPackages(ctx context.Context) ([]string, error) {
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		return nil, fmt.Errorf("find installed packages: not a Debian system; install what has %s", strings.Join(packages(), ", "))
	}
	args := append([]string{"-W", "-f", "${Package} ${db:Status-Status}\n"}, packages()...)
	// dpkg-query exits 1 when it does not know a package: that one is absent.
	out, err := exec.CommandContext(ctx, "dpkg-query", args...).Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("ask dpkg-query: %w", err)
	}
	installed := strings.Split(string(out), "\n")
	return slices.DeleteFunc(packages(), func(p string) bool { return slices.Contains(installed, p+" installed") }), nil
}

// runCommand runs a short command and returns its output; an error quotes it.
func runCommand(ctx context.Context, argv ...string) (string, error) {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("run %s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
