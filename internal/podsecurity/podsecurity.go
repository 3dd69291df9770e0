// Package podsecurity says which Pod Security level a pod meets, by the upstream
// library that the API server's admission runs. It alone may use that library.
package podsecurity

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// The levels, from the laxest.
const (
	Privileged = "privileged"
	Baseline   = "baseline"
	Restricted = "restricted"
)

// Evaluator evaluates pods. It makes its checks at the first use and remembers
// what it said of what pods look alike in, up to a bound. It is safe for
// concurrent use.
type Evaluator struct {
	once   sync.Once
	checks policy.Evaluator
	err    error
	mu     sync.Mutex
	known  map[uint64][]verdict
	held   int
}

type verdict struct {
	pod     fact.Value
	version string
	level   string
}

// maxKnown is how many different pods are remembered.
const maxKnown = 4096

// Level returns the strictest level that a pod meets under the policy of a
// Kubernetes version, "latest" or "v1.30". A pod that cannot be read is an error.
func (e *Evaluator) Level(pod *fact.PodTemplate, version string) (string, error) {
	v, err := api.ParseVersion(version)
	if err != nil {
		return "", fmt.Errorf("pod security version %d characters long: neither latest nor like v1.30", len(version))
	}
	reduced := reduce(pod)
	e.mu.Lock()
	for _, k := range e.known[reduced.Hash()] {
		if k.version == version && fact.Equal(k.pod, reduced) {
			e.mu.Unlock()
			return k.level, nil
		}
	}
	e.mu.Unlock()
	level, err := e.evaluate(reduced, v)
	if err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.held++; e.held > maxKnown || e.known == nil {
		e.known, e.held = map[uint64][]verdict{}, 1
	}
	e.known[reduced.Hash()] = append(e.known[reduced.Hash()], verdict{reduced, version, level})
	return level, nil
}

func (e *Evaluator) evaluate(reduced fact.Value, v api.Version) (string, error) {
	e.once.Do(func() { e.checks, e.err = policy.NewEvaluator(policy.DefaultChecks(), nil) })
	if e.err != nil {
		return "", e.err
	}
	var p struct {
		Metadata metav1.ObjectMeta
		Spec     corev1.PodSpec
	}
	if err := json.Unmarshal(yamldoc.JSON(reduced), &p); err != nil {
		return "", fmt.Errorf("the pod cannot be read: a field is not of its type")
	}
	level := Privileged
	for _, next := range []api.Level{api.LevelBaseline, api.LevelRestricted} {
		results := e.checks.EvaluatePod(api.LevelVersion{Level: next, Version: v}, &p.Metadata, &p.Spec)
		if !policy.AggregateCheckResults(results).Allowed {
			return level, nil
		}
		level = string(next)
	}
	return level, nil
}

// reduce keeps of a pod what the checks look at, so that pods that differ in
// images, names and settings are alike. Source: k8s.io/pod-security-admission,
// policy/check_*.go.
func reduce(pod *fact.PodTemplate) fact.Value {
	b := &fact.Builder{}
	none := fact.Pos{}
	b.Begin(fact.Key{}, none, fact.Map)
	b.Begin(b.Key("metadata"), none, fact.Map)
	b.Begin(b.Key("annotations"), none, fact.Map)
	for a := range pod.Metadata.Get(fact.K("annotations")).Children() {
		if k := a.Key().String(); strings.Contains(k, "apparmor") || strings.Contains(k, "seccomp") {
			b.Copy(a.Key(), a)
		}
	}
	b.End()
	b.End()
	b.Begin(b.Key("spec"), none, fact.Map)
	for f := range pod.Spec.Children() {
		switch f.Key().String() {
		case "hostNetwork", "hostPID", "hostIPC", "hostUsers", "os", "securityContext":
			b.Copy(f.Key(), f)
		case "volumes":
			volumes(b, f)
		case "containers", "initContainers", "ephemeralContainers":
			containers(b, f)
		}
	}
	b.End()
	b.End()
	return b.Tree().Root()
}

// volumes keeps of each volume its type.
func volumes(b *fact.Builder, list fact.Value) {
	if list.Kind() != fact.List {
		b.Copy(list.Key(), list)
		return
	}
	b.Begin(list.Key(), fact.Pos{}, fact.List)
	for v := range list.Children() {
		b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
		for f := range v.Children() {
			switch {
			case f.Key().String() == "name":
			case f.Kind() == fact.Map:
				b.Begin(f.Key(), fact.Pos{}, fact.Map)
				b.End()
			default:
				b.Copy(f.Key(), f)
			}
		}
		b.End()
	}
	b.End()
}

func containers(b *fact.Builder, list fact.Value) {
	if list.Kind() != fact.List {
		b.Copy(list.Key(), list)
		return
	}
	b.Begin(list.Key(), fact.Pos{}, fact.List)
	for c := range list.Children() {
		if c.Kind() != fact.Map {
			b.Copy(fact.Key{}, c)
			continue
		}
		b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
		for f := range c.Children() {
			switch f.Key().String() {
			case "securityContext", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle":
				b.Copy(f.Key(), f)
			case "ports":
				ports(b, f)
			}
		}
		b.End()
	}
	b.End()
}

// ports keeps of each port the one on the host.
func ports(b *fact.Builder, list fact.Value) {
	if list.Kind() != fact.List {
		b.Copy(list.Key(), list)
		return
	}
	b.Begin(list.Key(), fact.Pos{}, fact.List)
	for p := range list.Children() {
		b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
		if h := p.Get(fact.K("hostPort")); h.Present() {
			b.Copy(h.Key(), h)
		}
		b.End()
	}
	b.End()
}
