package control

import (
	"github.com/merlon-security/merlon/internal/control/expr"
	"github.com/merlon-security/merlon/internal/fact"
)

// Question asks about a verb on a resource, written RESOURCE[.GROUP][/SUB], or
// on a URL. Namespace is "" for all at once, "*" for any; Name is "" for any.
type Question struct{ Verb, Resource, Namespace, Name string }

// Grant is one way in which somebody holds a right.
type Grant struct {
	Binding, Role *fact.Object
	Rule          fact.Value
	Namespace     string // "" for everywhere
	Text          string // the same in words
}

var (
	identityShape = expr.NewShape("kind", "namespace", "name")
	grantShape    = expr.NewShape("binding", "role", "rule", "namespace", "text")
)

func identityValue(i Identity) expr.Value {
	return identityShape.Of(expr.StringOf(i.Kind), expr.StringOf(i.Namespace), expr.StringOf(i.Name))
}

// identityOf reads a subject: the one that is judged, or one of a binding.
func identityOf(v expr.Value) (Identity, bool) {
	word := func(name string) string {
		f, _ := v.Field(name)
		return f.Str()
	}
	i := Identity{word("kind"), word("namespace"), word("name")}
	return i, v.Kind() == expr.Map && i.Kind != "" && i.Name != ""
}

// questionOf reads verb, resource, and, if given, namespace and name.
func questionOf(args []expr.Value) Question {
	var s [4]string
	for i, a := range args {
		s[i] = a.Str()
	}
	return Question{s[0], s[1], s[2], s[3]}
}

// rightsFunctions are the functions about who may do what.
func rightsFunctions() []expr.Func {
	member := func(name string, f func(w World, who Identity, q Question) expr.Value) expr.Func {
		return expr.Func{Name: name, Min: 3, Max: 5, Member: true, Whole: true, Call: func(fr *expr.Frame, args []expr.Value) expr.Value {
			w := fr.World.(*view).world
			who, ok := identityOf(args[0])
			switch {
			case w == nil:
				return expr.Errorf("%s: no input to look in", name)
			case !ok:
				return expr.Errorf("%s: not a subject", name)
			}
			return f(w, who, questionOf(args[1:]))
		}}
	}
	return []expr.Func{
		member("can", func(w World, who Identity, q Question) expr.Value {
			yes, err := w.Can(who, q)
			if err != nil {
				return expr.Errorf("can: %v", err)
			}
			return expr.BoolOf(yes)
		}),
		member("grants", func(w World, who Identity, q Question) expr.Value {
			list, err := w.Held(who, q)
			if err != nil {
				return expr.Errorf("grants: %v", err)
			}
			out := make([]expr.Value, len(list))
			for i, g := range list {
				out[i] = grantShape.Of(expr.FromFact(g.Binding.Root), expr.FromFact(g.Role.Root), expr.FromFact(g.Rule), expr.StringOf(g.Namespace), expr.StringOf(g.Text))
			}
			return expr.ListOf(out)
		}),
		{Name: "who", Min: 2, Max: 4, Whole: true, Call: func(fr *expr.Frame, args []expr.Value) expr.Value {
			w := fr.World.(*view).world
			if w == nil {
				return expr.Errorf("who: no input to look in")
			}
			list, err := w.Who(questionOf(args))
			if err != nil {
				return expr.Errorf("who: %v", err)
			}
			out := make([]expr.Value, len(list))
			for i, who := range list {
				out[i] = identityValue(who)
			}
			return expr.ListOf(out)
		}},
	}
}
