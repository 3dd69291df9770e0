//go:build linux

package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/secrets"
	"github.com/merlon-security/merlon/internal/source"
	"golang.org/x/sys/unix"
)

// Source reads one machine once. It is not safe for concurrent use.
type Source struct {
	source.NodeInput

	emit    func(fact.Change) error
	err     error // of emit
	host    *tree
	node    string
	names   accounts
	detect  *secrets.Detector
	seen    map[string]bool // files told, by role and path
	control bool            // a control plane component runs here
	objects int
	ended   bool // a process ended while it was read
}

// maxReads is how often a machine is read whose processes end meanwhile.
const maxReads = 3

// Collect reads everything once or, when it watches, again and again until ctx
// ends. An error means that the machine cannot be read at all, or that emit
// failed.
func (s *Source) Collect(ctx context.Context, emit func(fact.Change) error) error {
	if s.Watch {
		return s.watch(ctx, emit)
	}
	return s.once(ctx, emit)
}

// once reports all of one moment: where a process ends while it is read, such as
// one that is restarted, the machine is read anew, and what is left of the process
// is no gap.
func (s *Source) once(ctx context.Context, emit func(fact.Change) error) error {
	for reads := 1; ; reads++ {
		var changes []fact.Change
		err := s.read(ctx, func(c fact.Change) error { changes = append(changes, c); return nil })
		if err != nil {
			return err
		}
		if s.ended && reads < maxReads {
			continue
		}
		for _, c := range changes {
			if err := emit(c); err != nil {
				return err
			}
		}
		return nil
	}
}

func (s *Source) read(ctx context.Context, emit func(fact.Change) error) error {
	s.emit, s.err, s.seen, s.objects, s.control, s.ended = emit, nil, map[string]bool{}, 0, false, false
	root := cmp.Or(s.Root, "/")
	host, err := openTree(root)
	if err != nil {
		return fmt.Errorf("scan node %s: %w", root, err)
	}
	defer host.close()
	s.host, s.detect = host, secrets.New()
	s.names = readAccounts(host)
	if s.Now.IsZero() {
		s.Now = time.Unix(0, 0)
	}
	all, err := s.processes(ctx)
	if err != nil {
		return fmt.Errorf("scan node %s: %w", root, err)
	}
	s.node = s.nameOf(all)
	s.control = slices.ContainsFunc(all, func(p *process) bool { return p.component == "kube-apiserver" || p.component == "etcd" })
	for _, p := range all {
		if ctx.Err() != nil {
			break
		}
		s.component(ctx, p)
		p.close()
	}
	s.fixedFiles()
	s.hostFacts(all)
	if len(all) == 0 {
		s.gap("no-objects", "", "no component of Kubernetes runs here, or its processes cannot be seen: a pod needs the machine's / mounted, and --host-root, or hostPID")
	}
	if s.err == nil {
		s.err = ctx.Err()
	}
	if s.err != nil {
		return s.err
	}
	return emit(fact.Change{Op: fact.Synced})
}

// send reports a change; after an error of emit nothing more is sent.
func (s *Source) send(c fact.Change) {
	if s.err == nil {
		s.err = s.emit(c)
	}
}

func (s *Source) gap(kind, file, format string, args ...any) {
	for _, a := range args {
		if err, ok := a.(error); ok && errors.Is(err, unix.ESRCH) {
			s.ended = true
		}
	}
	s.send(fact.Change{Op: fact.GapOpened, Gap: fact.Gap{Kind: kind, Source: Name, File: file, Subject: s.node, Message: fmt.Sprintf(format, args...)}})
}

// fact reports one fact of the machine.
func (s *Source) fact(kind, name, file string, spec map[string]any) {
	spec["node"] = s.node
	root := fact.Of(map[string]any{"apiVersion": "merlon.dev/v1", "kind": kind, "metadata": map[string]any{"name": name}, "spec": spec})
	s.object(root, file)
}

func (s *Source) object(root fact.Value, file string) bool {
	o, ok := fact.NewObject(root, fact.Origin{Source: Name, File: file, World: s.node, Doc: s.objects})
	if ok {
		s.objects++
		s.send(fact.Change{Op: fact.Upsert, Object: &o})
	}
	return ok
}

// nameOf is the name that the kubelet goes by, else that of the machine.
func (s *Source) nameOf(all []*process) string {
	for _, p := range all {
		if name := p.flags["hostname-override"]; p.component == "kubelet" && name != "" {
			return name
		}
	}
	if text, err := s.host.read("/etc/hostname", 4096); err == nil && len(text) > 0 {
		return firstLine(text)
	}
	return "node"
}
