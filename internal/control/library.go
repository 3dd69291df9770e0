package control

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/control/expr"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/podsecurity"
	"github.com/merlon-security/merlon/internal/secrets"
)

// World answers the functions that see more than the subject: the whole input,
// indexed. Every method costs about what it returns.
type World interface {
	// Objects returns the objects of a kind ("Kind" or "group/Kind"); of all
	// namespaces when namespace is "*".
	Objects(kind, namespace string) []*fact.Object
	// Find returns one object, or nil; namespace is "" for kinds without.
	Find(kind, namespace, name string) *fact.Object
	// Workloads returns the objects of a namespace that carry pods.
	Workloads(namespace string) []*fact.Object
	// Selected returns the objects whose pods the selector of o selects.
	Selected(o *fact.Object) []*fact.Object
	// Selecting returns the objects of a kind that select the pods of o.
	Selecting(kind string, o *fact.Object) []*fact.Object
	// Referring returns the objects of a kind that name o.
	Referring(kind string, o *fact.Object) []*fact.Object
	// ServiceAccount returns what the pods of o run as, or nil.
	ServiceAccount(o *fact.Object) *fact.Object
	// Role returns what a binding binds, or nil.
	Role(binding *fact.Object) *fact.Object
	// Rules returns the rules of a role or of a binding's role.
	Rules(o *fact.Object) []fact.Value
	// Bindings returns what grants something to a ServiceAccount or to the one
	// that the pods of o run as.
	Bindings(o *fact.Object) []*fact.Object
	// Can reports whether somebody may do something, by whatever grants it.
	Can(who Identity, q Question) (bool, error)
	// Held returns how a binding of its own lets somebody do something.
	Held(who Identity, q Question) ([]Grant, error)
	// Who returns everybody who may do something, in order.
	Who(q Question) ([]Identity, error)
	// MayReach reports whether the network policies let a pod of o connect to an
	// address, and whether some policy limits what its pods connect to.
	MayReach(o *fact.Object, addr netip.Addr, protocol string, port uint16) (allowed, limited bool)
	// Reaching returns the namespaces whose pods may connect to a port of a pod of
	// o; port 0 is every port.
	Reaching(o *fact.Object, protocol string, port uint16) []string
	// Of returns the object that a document belongs to, or nil.
	Of(root fact.Value) *fact.Object
}

// view is what a judge hands to functions.
type view struct {
	world World
	judge *Judge
}

// Library is the environment that controls are compiled in.
type Library struct {
	env     *expr.Env
	secrets shower
	pods    *podsecurity.Evaluator
}

// Function is what a control can call, for documentation.
type Function struct {
	Name     string
	Min, Max int  // arguments
	Whole    bool // it sees more than its arguments and the subject
}

// Functions lists what Merlon adds to CEL, by name.
func Functions() []Function {
	lib := &Library{secrets: shower{secrets.New()}, pods: &podsecurity.Evaluator{}}
	var out []Function
	for _, f := range lib.functions() {
		out = append(out, Function{f.Name, f.Min, f.Max, f.Whole})
	}
	slices.SortFunc(out, func(a, b Function) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (lib *Library) functions() []expr.Func {
	return slices.Concat(lib.textFunctions(), selectorFunctions(), worldFunctions(), componentFunctions(), rightsFunctions(), []expr.Func{lib.podSecurityLevel()})
}

// NewLibrary returns the environment of all controls. It is safe for concurrent
// use.
func NewLibrary() *Library {
	lib := &Library{secrets: shower{secrets.New()}, pods: &podsecurity.Evaluator{}}
	vars := []string{"object", "pod", "container", "containerType", "item", "params", "request", "kubernetes", "declared", "namespaceObject", "subject"}
	lib.env = expr.NewEnv(vars, lib.functions())
	return lib
}

// Interpreted returns the library with cel-go running every expression: slow, and
// what tests hold the native code against.
func (lib *Library) Interpreted() *Library {
	return &Library{secrets: lib.secrets, pods: lib.pods, env: lib.env.Interpreted()}
}

// bad is the error of a function that was given something it cannot take.
func bad(name string) expr.Value { return expr.Errorf("no such overload: %s", name) }

// textFunction makes a function of n strings.
func textFunction(name string, n int, f func(s []string) expr.Value) expr.Func {
	return expr.Func{Name: name, Min: n, Max: n, Call: func(_ *expr.Frame, args []expr.Value) expr.Value {
		s := make([]string, n)
		for i, a := range args {
			if a.Kind() != expr.String {
				return bad(name)
			}
			s[i] = a.Str()
		}
		return f(s)
	}}
}

func (lib *Library) textFunctions() []expr.Func {
	return []expr.Func{
		{Name: "image", Min: 1, Max: 1, Call: func(f *expr.Frame, args []expr.Value) expr.Value {
			if args[0].Kind() != expr.String {
				return bad("image")
			}
			return f.World.(*view).judge.image(args[0].Str())
		}},
		textFunction("secretKind", 2, func(s []string) expr.Value {
			m, _ := lib.secrets.detector.Named(s[0], s[1])
			return expr.StringOf(m.Kind)
		}),
		textFunction("secretsIn", 1, func(s []string) expr.Value {
			var kinds []string
			for _, m := range lib.secrets.detector.Text(s[0]) {
				kinds = append(kinds, m.Kind)
			}
			return expr.FromGo(kinds)
		}),
		textFunction("looser", 2, func(s []string) expr.Value { return looser(s[0], s[1]) }),
		{Name: "secretKeys", Min: 1, Max: 1, Call: lib.secretKeys},
		textFunction("saysSecret", 1, func(s []string) expr.Value { return expr.BoolOf(secrets.SaysSecret(s[0])) }),
		{Name: "secretsInCommand", Min: 1, Max: 1, Call: lib.secretsInCommand},
		{Name: "unsortedKeys", Min: 1, Max: 1, Call: func(_ *expr.Frame, args []expr.Value) expr.Value {
			return expr.FromGo(unsorted(args[0].Node(), nil))
		}},
		{Name: "metadata", Min: 1, Max: 1, Call: func(f *expr.Frame, args []expr.Value) expr.Value {
			return f.World.(*view).judge.metadata(args[0])
		}},
		{Name: "containers", Min: 1, Max: 1, Call: func(f *expr.Frame, args []expr.Value) expr.Value {
			return f.World.(*view).judge.containers(args[0])
		}},
	}
}

// secretsInCommand finds secrets in a command line given as a list of words,
// where a flag and its value may be two of them.
func (lib *Library) secretsInCommand(_ *expr.Frame, args []expr.Value) expr.Value {
	if args[0].Kind() != expr.List {
		return bad("secretsInCommand")
	}
	var words []string
	for _, w := range args[0].Elems() {
		words = append(words, w.Str())
	}
	var out []any
	for _, m := range lib.secrets.detector.Args(words) {
		out = append(out, map[string]any{"index": m.Arg, "kind": m.Kind})
	}
	return expr.FromGo(out)
}

// secretKeys lists the keys of a map whose values look like secrets, as
// secretKind sees them.
func (lib *Library) secretKeys(_ *expr.Frame, args []expr.Value) expr.Value {
	if args[0].Kind() != expr.Map {
		return bad("secretKeys")
	}
	var out []expr.Value
	args[0].Each(func(k, v expr.Value) bool {
		if v.Kind() != expr.Map && v.Kind() != expr.List {
			if _, found := lib.secrets.detector.Named(k.Str(), v.Text()); found {
				out = append(out, k)
			}
		}
		return true
	})
	return expr.ListOf(out)
}

// unsorted lists the paths of maps whose keys do not stand in order.
func unsorted(v fact.Value, out []string) []string {
	last := ""
	sorted := true
	for c := range v.Children() {
		if v.Kind() == fact.Map {
			key := c.Key().String()
			sorted = sorted && last <= key
			last = key
		}
	}
	if !sorted {
		out = append(out, v.ShownPath())
	}
	for c := range v.Children() {
		out = unsorted(c, out)
	}
	return out
}

func selectorFunctions() []expr.Func {
	return []expr.Func{
		{Name: "selects", Min: 2, Max: 2, Call: func(_ *expr.Frame, args []expr.Value) expr.Value {
			if args[0].Kind() == expr.Map && args[0].Len() > 0 && !args[0].Node().Present() {
				return expr.Errorf("selects: the selector must be part of an object")
			}
			sel, ok := fact.LabelSelector(args[0].Node())
			return expr.BoolOf(ok && sel.Matches(labelsOf(args[1])))
		}},
		{Name: "matchesLabels", Min: 2, Max: 2, Call: func(_ *expr.Frame, args []expr.Value) expr.Value {
			labels := labelsOf(args[1])
			matched := args[0].Kind() == expr.Map && args[0].Len() > 0
			args[0].Each(func(k, v expr.Value) bool {
				have, ok := labels(k.Str())
				matched = ok && v.Kind() == expr.String && have == v.Str()
				return matched
			})
			return expr.BoolOf(matched)
		}},
	}
}

func labelsOf(v expr.Value) func(string) (string, bool) {
	return func(key string) (string, bool) {
		x, ok := v.Field(key)
		return x.Str(), ok
	}
}

// objectFunction makes a function from one object of the input.
func objectFunction(name string, f func(w World, o *fact.Object) expr.Value) expr.Func {
	return expr.Func{Name: name, Min: 1, Max: 1, Whole: true, Call: func(fr *expr.Frame, args []expr.Value) expr.Value {
		w, o, err := arguments(fr, name, args[0])
		if o == nil {
			return err
		}
		return f(w, o)
	}}
}

// arguments finds the object that an argument is. A namespace that is only
// named, and an object made by an expression, are none.
func arguments(f *expr.Frame, name string, v expr.Value) (World, *fact.Object, expr.Value) {
	vw := f.World.(*view)
	if vw.world == nil {
		return nil, nil, expr.Errorf("%s: no input to look in", name)
	}
	root := v.Node().Root()
	if s := vw.judge.subject.Object; s != nil && s.Root.Same(root) {
		return vw.world, s, expr.Value{}
	}
	if o := vw.world.Of(root); o != nil {
		return vw.world, o, expr.Value{}
	}
	return vw.world, nil, expr.Errorf("%s: not an object of the input", name)
}

func objectList(objects []*fact.Object) expr.Value {
	out := make([]expr.Value, len(objects))
	for i, o := range objects {
		out[i] = expr.FromFact(o.Root)
	}
	return expr.ListOf(out)
}

func optionalObject(o *fact.Object) expr.Value {
	if o == nil {
		return expr.None()
	}
	return expr.Some(expr.FromFact(o.Root))
}

// kindFunction makes a function from a kind and one object of the input.
func kindFunction(name string, f func(w World, kind string, o *fact.Object) []*fact.Object) expr.Func {
	return expr.Func{Name: name, Min: 2, Max: 2, Whole: true, Call: func(fr *expr.Frame, args []expr.Value) expr.Value {
		w, o, err := arguments(fr, name, args[1])
		if o == nil {
			return err
		}
		return objectList(f(w, args[0].Str(), o))
	}}
}

func worldFunctions() []expr.Func {
	return []expr.Func{
		{Name: "objects", Min: 1, Max: 2, Whole: true, Call: func(f *expr.Frame, args []expr.Value) expr.Value {
			w := f.World.(*view).world
			if w == nil {
				return expr.Errorf("objects: no input to look in")
			}
			namespace := "*"
			if len(args) == 2 {
				namespace = args[1].Str()
			}
			return f.World.(*view).judge.objects(w, args[0].Str(), namespace)
		}},
		{Name: "find", Min: 3, Max: 3, Whole: true, Call: func(f *expr.Frame, args []expr.Value) expr.Value {
			w := f.World.(*view).world
			if w == nil {
				return expr.Errorf("find: no input to look in")
			}
			return optionalObject(w.Find(args[0].Str(), args[1].Str(), args[2].Str()))
		}},
		{Name: "workloads", Min: 1, Max: 1, Whole: true, Call: func(f *expr.Frame, args []expr.Value) expr.Value {
			w := f.World.(*view).world
			if w == nil {
				return expr.Errorf("workloads: no input to look in")
			}
			return objectList(w.Workloads(args[0].Str()))
		}},
		{Name: "mayReach", Min: 3, Max: 3, Whole: true, Call: mayReach},
		{Name: "reaching", Min: 2, Max: 2, Whole: true, Call: reaching},
		objectFunction("pods", func(_ World, o *fact.Object) expr.Value {
			var out []expr.Value
			for _, p := range fact.PodTemplates(o) {
				out = append(out, podValue(&p))
			}
			return expr.ListOf(out)
		}),
		objectFunction("selected", func(w World, o *fact.Object) expr.Value { return objectList(w.Selected(o)) }),
		{Name: "selecting", Min: 2, Max: 2, Whole: true, Call: func(f *expr.Frame, args []expr.Value) expr.Value {
			w, o, err := arguments(f, "selecting", args[1])
			if o == nil {
				return err
			}
			return f.World.(*view).judge.selecting(w, args[0].Str(), o)
		}},
		kindFunction("referring", func(w World, kind string, o *fact.Object) []*fact.Object { return w.Referring(kind, o) }),
		objectFunction("serviceAccountOf", func(w World, o *fact.Object) expr.Value { return optionalObject(w.ServiceAccount(o)) }),
		objectFunction("roleOf", func(w World, o *fact.Object) expr.Value { return optionalObject(w.Role(o)) }),
		objectFunction("bindingsOf", func(w World, o *fact.Object) expr.Value { return objectList(w.Bindings(o)) }),
		objectFunction("rulesOf", func(w World, o *fact.Object) expr.Value {
			var out []expr.Value
			for _, r := range w.Rules(o) {
				out = append(out, expr.FromFact(r))
			}
			return expr.ListOf(out)
		}),
	}
}

// mayReach tells whether the policies let a pod connect to an address:
// mayReach(object, '169.254.169.254', '80/TCP') is 'no', 'limited' when some
// policy limits its egress and yet allows this, and 'open' when none does.
func mayReach(f *expr.Frame, args []expr.Value) expr.Value {
	w, o, err := arguments(f, "mayReach", args[0])
	if o == nil {
		return err
	}
	addr, bad := netip.ParseAddr(args[1].Str())
	protocol, port, ok := portOf(args[2].Str())
	if bad != nil || !ok || port == 0 {
		return expr.Errorf("mayReach: takes an object, an address and a port such as '80/TCP'")
	}
	allowed, limited := w.MayReach(o, addr, protocol, port)
	switch {
	case !allowed:
		return expr.StringOf("no")
	case limited:
		return expr.StringOf("limited")
	}
	return expr.StringOf("open")
}

// reaching lists the namespaces whose pods may connect to a port of an object's
// pods: reaching(object, '2379/TCP'); '0/TCP' is every port.
func reaching(f *expr.Frame, args []expr.Value) expr.Value {
	w, o, err := arguments(f, "reaching", args[0])
	if o == nil {
		return err
	}
	protocol, port, ok := portOf(args[1].Str())
	if !ok {
		return expr.Errorf("reaching: takes an object and a port such as '80/TCP'")
	}
	return expr.FromGo(w.Reaching(o, protocol, port))
}

// portOf reads PORT/PROTOCOL.
func portOf(s string) (protocol string, port uint16, ok bool) {
	number, protocol, ok := strings.Cut(s, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	return protocol, uint16(n), ok && err == nil && (protocol == "TCP" || protocol == "UDP" || protocol == "SCTP")
}
