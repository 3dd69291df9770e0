package corpus

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// workload is one program of the cluster: its traits, drawn at once, and a
// source of values for its fields. Shapes are drawn from the same numbers in
// both kinds of corpus; only values differ.
type workload struct {
	*rand.Rand
	index     int
	different bool
	slot      int // how many values of its own it has made

	kind      string
	name      string
	namespace string
	team      string
	port      int
	volume    string // from the host, where its mistake is one

	service, account, config, role, budget, scaler, ingress, policy, scratch bool
	mistake                                                                  mistake
}

// mistake is what one in five workloads has wrong, beyond what it leaves out.
type mistake string

const slots = 64 // values that one workload can have of its own

func (c Corpus) workload(i int) *workload {
	w := &workload{Rand: rand.New(rand.NewPCG(c.Seed, uint64(i))), index: i, different: c.Different}
	w.kind = w.kindOf()
	w.namespace = namespaceName(i / perNamespace)
	w.team = w.text(teams)
	w.name = w.pick(purposes) + "-" + strconv.FormatInt(int64(i), 36)
	w.port = w.portOf(ports)
	w.volume = w.own("host")
	serves := w.kind == "Deployment" || w.kind == "StatefulSet" || w.kind == "Pod"
	w.service = serves && w.share(80) || w.kind == "DaemonSet" && w.share(30)
	w.account = w.share(51)
	w.config = w.share(40)
	w.role = w.account && w.share(26)
	w.budget = serves && w.share(22)
	w.scaler = w.kind == "Deployment" && w.share(20)
	w.ingress = w.service && w.share(16)
	w.policy = w.share(22)
	w.scratch = w.share(35)
	if w.share(20) {
		w.mistake = mistake(w.pick(mistakes))
	}
	return w
}

func (w *workload) kindOf() string {
	n := w.IntN(100)
	for _, k := range []struct {
		kind  string
		share int
	}{{"Deployment", 74}, {"StatefulSet", 8}, {"DaemonSet", 3}, {"CronJob", 8}, {"Job", 4}} {
		if n -= k.share; n < 0 {
			return k.kind
		}
	}
	return "Pod"
}

// namespaceName names the n-th namespace.
func namespaceName(n int) string {
	return fmt.Sprintf("%s-%d", domains[n%len(domains)], n)
}

// share is true in so many of a hundred cases.
func (w *workload) share(percent int) bool { return w.IntN(100) < percent }

// pick draws from a pool, alike in both kinds of corpus.
func (w *workload) pick(pool []string) string { return pool[w.IntN(len(pool))] }

// text draws a value from a pool; in a different corpus it is made its own.
func (w *workload) text(pool []string) string { return w.own(w.pick(pool)) }

// own makes a value the workload's own in a different corpus.
func (w *workload) own(s string) string {
	if !w.different {
		return s
	}
	return s + "-" + strconv.FormatInt(int64(w.next()), 36)
}

// number draws a number from a pool; in a different corpus it is the workload's
// own, from base on. No field takes more than step numbers of one workload.
func (w *workload) number(pool []int, base, step int) int {
	n := pool[w.IntN(len(pool))]
	if !w.different {
		return n
	}
	w.slot++
	return base + w.index*step + w.slot%step
}

func (w *workload) next() int {
	w.slot++
	return w.index*slots + w.slot%slots
}

// portOf draws a port. There are fewer ports than a large corpus has workloads,
// so that one may be met again after 10,000 of them.
func (w *workload) portOf(pool []int) int {
	return (w.number(pool, 1024, 6)-1)%65535 + 1
}

// meta is an object's metadata. The label is that of its workload.
func (w *workload) meta(name string) block {
	return text("name: %s\nnamespace: %s\n", name, w.namespace) + w.selector().under("labels")
}

// plainMeta is the metadata of small objects, which few people label.
func (w *workload) plainMeta(name string) block {
	return text("name: %s\nnamespace: %s\n", name, w.namespace)
}

func (w *workload) selector() block { return text("app: %s\n", w.name) }

func (w *workload) labels() block { return w.selector() + text("team: %s\n", w.team) }
