// Command rights measures what questions about permissions cost: made-up
// clusters with 5,000, 50,000 and 200,000 bindings, the second of which has
// promised bounds. It tells CPU time of this process and live memory, each beside
// its bound. Going over one is told, and no error, because a benchmark that fails
// on a busy machine is soon ignored.
//
// Each figure is the least of several passes, since others on the machine can
// only add to it. The look-ups tell how busy it was: what it costs to find the
// same users and groups in a plain map.
//
//	go run ./test/bench/rights [-seed 1]
package main

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
)

// promised is the number of bindings that the bounds are for; there are two
// subjects for every five.
const promised = 50_000

func main() {
	seed := flag.Uint64("seed", 1, "seed of the made-up clusters")
	flag.Parse()
	fmt.Println("Permissions: questions about made-up clusters")
	fmt.Printf("%10s %10s %8s %10s %10s %10s %10s %10s %10s\n", "bindings", "subjects", "roles", "build CPU", "memory", "can", "look-ups", "who", "change")
	for _, n := range []int{promised / 10, promised, 4 * promised} {
		m := measure(n, rand.New(rand.NewPCG(*seed, uint64(n))))
		m.print()
		if n == promised {
			defer m.bounds()
		}
	}
}

// figures are what was measured of one cluster.
type figures struct {
	bindings, subjects, roles int
	build                     time.Duration // of CPU
	memory                    uint64
	can, bare, who, change    time.Duration
	holders                   int // of the question with most
}

const (
	passes    = 5
	questions = 100_000
	lists     = 200
	changes   = 100
)

func measure(n int, r *rand.Rand) figures {
	c := cluster(n, r)
	m := figures{bindings: n, subjects: c.subjects, roles: len(c.objects) - n}
	var x *rbac.Index
	m.build = least(passes, func() { x = rbac.New(c.objects) })
	x = nil
	before := live()
	x = rbac.New(c.objects)
	if after := live(); after > before {
		m.memory = after - before
	}
	x.Can(rbac.User{Name: "system:node:n", Groups: []string{rbac.Nodes}}, rbac.Request{Verb: "get", Resource: "pods"}) // the nodes' part, once
	users, requests := make([]rbac.User, 1000), make([]rbac.Request, 997)
	for i := range users {
		users[i] = c.user(r)
	}
	for i := range requests {
		requests[i] = c.request(r)
	}
	m.can = m.questions(x, users, requests)
	m.bare = bare(x, users)
	m.who = least(passes, func() {
		for _, q := range requests[:lists] {
			m.holders = max(m.holders, len(x.Who(q)))
		}
	}) / lists
	m.change = least(passes, func() {
		for range changes {
			o := c.objects[len(c.objects)-1-r.IntN(n)]
			x = x.Apply(fact.Change{Op: fact.Delete, Object: o})
			x = x.Apply(fact.Change{Op: fact.Upsert, Object: o})
		}
	}) / (2 * changes)
	runtime.KeepAlive(c)
	return m
}

func (m *figures) questions(x *rbac.Index, users []rbac.User, requests []rbac.Request) time.Duration {
	yes := 0
	took := least(passes, func() {
		for i := range questions {
			if x.Can(users[i%len(users)], requests[i%len(requests)]) {
				yes++
			}
		}
	})
	if yes == 0 || yes == passes*questions {
		fmt.Println("every question has the same answer: this measures nothing")
	}
	return took / questions
}

// bare looks the name and groups of users up in a plain map.
func bare(x *rbac.Index, users []rbac.User) time.Duration {
	all := map[string]int{}
	for _, s := range x.Subjects() {
		name := s.Name
		if s.Kind == rbac.ServiceAccountKind {
			name = s.User().Name
		}
		all[name] = len(name)
	}
	found := 0
	took := least(passes, func() {
		for i := range questions {
			u := &users[i%len(users)]
			found += all[u.Name]
			for _, g := range u.Groups {
				found += all[g]
			}
		}
	})
	if found == 0 {
		fmt.Println("the reference finds nothing")
	}
	return took / questions
}

// least returns the least CPU time that f takes in some passes.
func least(passes int, f func()) time.Duration {
	best := time.Duration(math.MaxInt64)
	for range passes {
		start := used()
		f()
		best = min(best, used()-start)
	}
	return best
}

func (m *figures) print() {
	fmt.Printf("%10d %10d %8d %9.2fs %7.1f MB %10s %10s %10s %10s\n", m.bindings, m.subjects, m.roles, m.build.Seconds(), float64(m.memory)/1e6,
		m.can, m.bare, m.who.Round(time.Microsecond), m.change.Round(time.Microsecond))
}

func (m *figures) bounds() {
	fmt.Printf("\npromised for %d bindings and %d subjects (the longest answer to who has %d lines):\n", m.bindings, m.subjects, m.holders)
	bound := func(what string, ok bool, is, limit string) {
		word := "kept"
		if !ok {
			word = "NOT KEPT"
		}
		fmt.Printf("  %-22s %12s  under %-8s %s\n", what, is, limit, word)
	}
	bound("build, CPU", m.build < 2*time.Second, fmt.Sprintf("%.2f s", m.build.Seconds()), "2 s")
	bound("memory", m.memory < 300_000_000, fmt.Sprintf("%.0f MB", float64(m.memory)/1e6), "300 MB")
	bound("can", m.can < 5*time.Microsecond, m.can.String(), "5 µs")
	bound("who", m.who < 5*time.Millisecond, m.who.String(), "5 ms")
	bound("one changed binding", m.change < 5*time.Millisecond, m.change.String(), "5 ms")
}

// live returns the bytes of live objects.
func live() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// used returns the CPU time of this process.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(3)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
