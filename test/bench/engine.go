package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"github.com/merlon-security/merlon/test/bench/corpus"
)

// What was promised of one change in a cluster of 10,000 pods.
const maxChange = 50 * time.Millisecond

// podsEach is how many pods run behind each workload.
const podsEach = 5

// measureEngine measures the incremental engine in this process: what it costs
// to begin with a generated snapshot, and from one change to its findings.
func (q *request) measureEngine(stdout, stderr io.Writer) error {
	list, err := control.Load(controls.FS, true)
	if err != nil {
		return err
	}
	list, _ = control.Living(slices.DeleteFunc(list, (*control.Control).Hygiene))
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "pods\towners\tother objects\tchanges\tload CPU s\theap MB\tof which objects\tp50 ms\tp99 ms\tworst ms\tCPU p99 ms\tjudged\t")
	var worst time.Duration
	for _, owners := range []int{2000, 20000} {
		fmt.Fprintf(stderr, "engine: %d pods\n", owners*podsEach)
		m, err := measureChanges(list, corpus.Corpus{Workloads: owners, Seed: q.seed}, q.changes())
		if err != nil {
			return err
		}
		if worst == 0 {
			worst = m.at(m.cpu, 99)
		}
		ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%.2f\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.1f\t\n", owners*podsEach, owners, m.objects-owners, len(m.wall),
			m.load.Seconds(), m.heap, m.bare, ms(m.at(m.wall, 50)), ms(m.at(m.wall, 99)), ms(slices.Max(m.wall)), ms(m.at(m.cpu, 99)), float64(m.told)/float64(len(m.wall)))
	}
	w.Flush()
	fmt.Fprintf(stdout, "\njudged: findings judged anew, of one change; p50, p99 and worst are wall time of this machine as busy as it is\n")
	fmt.Fprintf(stdout, "one change of 10,000 pods, p99 of Merlon's own time: %.1f ms, at most %d ms: %s\n", float64(worst)/1e6, maxChange/time.Millisecond, verdict(worst < maxChange))
	return nil
}

func (q *request) changes() int {
	if q.quick {
		return 500
	}
	return 5000
}

// changesCost is what a run of single changes cost.
type changesCost struct {
	objects    int
	load       time.Duration
	bare, heap float64 // MB, before the engine has the objects and after
	wall, cpu  []time.Duration
	told       int
}

func (m *changesCost) at(all []time.Duration, percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)*percent/100]
}

func measureChanges(list []*control.Control, c corpus.Corpus, changes int) (*changesCost, error) {
	objects, err := decoded(c)
	if err != nil {
		return nil, err
	}
	m := &changesCost{objects: len(objects), bare: heapMB()}
	first := make([]fact.Change, len(objects))
	for i, o := range objects {
		first[i] = fact.Change{Object: o}
	}
	began := cpuTime()
	state := (&fact.Snapshot{}).Apply(first...)
	session := assess.New(control.NewLibrary(), list, assess.Options{Minor: assess.NewestMinor()}).Begin()
	if _, err := session.Update(state); err != nil {
		return nil, err
	}
	m.load = cpuTime() - began
	first = nil
	m.heap = heapMB()
	r := rand.New(rand.NewPCG(c.Seed, 1))
	for range changes {
		i := r.IntN(len(objects))
		change := fact.Change{Object: objects[i]}
		if r.IntN(10) == 0 {
			change.Op = fact.Delete // or, when it is gone already, nothing
		} else {
			change.Object = altered(objects[i], r)
			objects[i] = change.Object
		}
		wall, cpu := time.Now(), cpuTime()
		state = state.Apply(change)
		told, err := session.Update(state)
		if err != nil {
			return nil, err
		}
		m.wall, m.cpu = append(m.wall, time.Since(wall)), append(m.cpu, cpuTime()-cpu)
		m.told += len(told)
	}
	return m, nil
}

// decoded reads a corpus as a cluster would tell it: without files.
func decoded(c corpus.Corpus) ([]*fact.Object, error) {
	var out []*fact.Object
	for name, data := range c.Files() {
		r := yamldoc.NewReader(bytes.NewReader(data), name, yamldoc.Limits{})
		for {
			d, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
			b := &fact.Builder{} // drops the places
			b.Copy(fact.Key{}, d.Root)
			o, ok := fact.NewObject(b.Tree().Root(), fact.Origin{Source: "cluster"})
			if !ok {
				return nil, fmt.Errorf("read %s: document %d is no object", name, d.Index)
			}
			if len(fact.PodTemplates(&o)) > 0 {
				o.Pods = podsEach
			}
			out = append(out, &o)
		}
	}
	return out, nil
}

// altered returns an object with one or a few of its texts, numbers and
// booleans changed, but for those by which it is known.
func altered(o *fact.Object, r *rand.Rand) *fact.Object {
	n := 0
	var count func(v fact.Value)
	count = func(v fact.Value) {
		n++
		for c := range v.Children() {
			count(c)
		}
	}
	count(o.Root)
	at, i := r.IntN(n), 0
	b := &fact.Builder{}
	var write func(v fact.Value, path string)
	write = func(v fact.Value, path string) {
		i++
		hit := i >= at && i < at+8 && path != ".metadata.name" && path != ".metadata.namespace" && path != ".kind" && path != ".apiVersion"
		switch k := v.Kind(); {
		case k == fact.Map || k == fact.List:
			b.Begin(v.Key(), fact.Pos{}, k)
			for c := range v.Children() {
				write(c, path+"."+c.Key().String())
			}
			b.End()
		case k == fact.Bool && hit:
			b.Bool(v.Key(), fact.Pos{}, !v.Bool())
		case k == fact.Int && hit:
			b.Int(v.Key(), fact.Pos{}, v.Int()+1)
		case k == fact.String && hit:
			b.String(v.Key(), fact.Pos{}, v.Str()+"x")
		default:
			b.Copy(v.Key(), v)
		}
	}
	write(o.Root, "")
	x, _ := fact.NewObject(b.Tree().Root(), o.Origin)
	x.Pods = o.Pods
	return &x
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heapMB() float64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}
