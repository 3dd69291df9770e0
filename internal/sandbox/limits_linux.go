package sandbox

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// fence puts the process into namespaces of its own, in which there is no
// network, and ties its life to ours.
func fence(cmd *exec.Cmd, namespaces bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if !namespaces {
		return
	}
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 65534, HostID: os.Getuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 65534, HostID: os.Getgid(), Size: 1}}
}

// confine limits the running process. Memory is counted as RLIMIT_DATA, which
// leaves out address space that Go reserves and does not use; RLIMIT_AS bounds
// that too. With no file descriptor left to take, neither a file nor a socket can
// be opened, whatever the code does.
func confine(cpu, memory uint64) error {
	for resource, limit := range map[int]uint64{
		unix.RLIMIT_CPU: cpu, unix.RLIMIT_DATA: memory, unix.RLIMIT_AS: memory + 4<<30,
		unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_NOFILE: 0,
	} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return err
		}
	}
	// No program that it starts could have more rights than it has.
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}
