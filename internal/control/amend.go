package control

import (
	"errors"
	"fmt"
	"slices"

	"github.com/merlon-security/merlon/internal/control/expr"
	"github.com/merlon-security/merlon/internal/fact"
)

// Amend computes what the patch of a control makes of the subject that has just
// failed it. It is called from within emit of Run or Again, where the variables
// still are those of the failing item. An error says why there is no telling.
func (j *Judge) Amend(c *Compiled) (Amendment, error) {
	var a Amendment
	ops, err := c.ops()
	if err != nil {
		return a, err
	}
	for i := range ops {
		o := &ops[i]
		if o.when != nil {
			v := o.when.Eval(j.frame)
			if v.Kind() != expr.Bool {
				return a, errors.New("a condition of the patch could not be judged")
			}
			if !v.True() {
				continue
			}
		}
		switch o.verb {
		case "ask":
			a.Asks = append(a.Asks, j.text(o.text))
		case "test":
			a.Tests = append(a.Tests, j.text(o.text))
		default:
			edits, err := j.edits(o)
			if err != nil {
				return a, err
			}
			a.Edits = append(a.Edits, edits...)
		}
	}
	if len(a.Asks) > 0 {
		a.Edits, a.Tests = nil, nil
	}
	return a, nil
}

// edits makes the edits of one step.
func (j *Judge) edits(o *op) ([]fact.Edit, error) {
	path, err := j.resolved(o)
	if err != nil {
		return nil, err
	}
	value := o.value
	var given expr.Value
	if o.expression != nil {
		given = o.expression.Eval(j.frame)
		if given.Err() != nil || given.Kind() == expr.Unset {
			return nil, errors.New("a value of the patch could not be computed")
		}
		if value, err = asFact(given); err != nil {
			return nil, err
		}
	}
	root := j.subject.Object.Root
	switch there := root.Follow(path); {
	case o.verb == "remove" && !there.Present():
		return nil, nil
	case o.verb == "remove":
		return []fact.Edit{{Op: fact.Remove, Path: path}}, nil
	case o.verb == "set":
		return []fact.Edit{{Op: fact.Set, Path: path, Value: value}}, nil
	case o.verb == "addToList":
		return []fact.Edit{{Op: fact.AddToList, Path: path, Value: value}}, nil
	default:
		unwanted := []fact.Value{value}
		if o.expression != nil && value.Kind() == fact.List {
			unwanted = slices.Collect(value.Children())
		}
		return without(there, path, unwanted), nil
	}
}

// without removes elements from a list; from one that would be empty, the list.
func without(list fact.Value, path []fact.Step, unwanted []fact.Value) []fact.Edit {
	var out []fact.Edit
	i := 0
	for c := range list.Children() {
		if slices.ContainsFunc(unwanted, func(u fact.Value) bool { return fact.Equal(u, c) }) {
			out = append(out, fact.Edit{Op: fact.Remove, Path: append(slices.Clone(path), fact.Element(i))})
		}
		i++
	}
	if len(out) > 0 && len(out) == list.Len() {
		return []fact.Edit{{Op: fact.Remove, Path: path}}
	}
	return out
}

// resolved returns the way from the object's root to a step's place.
func (j *Judge) resolved(o *op) ([]fact.Step, error) {
	if j.subject.Object == nil {
		return nil, errors.New("the subject is no object of the input")
	}
	var path []fact.Step
	if o.root == "pod" {
		spec := j.subject.Pod.Spec.Steps()
		path = spec[:len(spec)-1]
	} else {
		node := o.origin.Eval(j.frame).Node()
		if !node.Present() || !node.Root().Same(j.subject.Object.Root) {
			return nil, fmt.Errorf("%s is no part of the object", o.root)
		}
		path = node.Steps()
	}
	path = slices.Clone(path)
	for _, s := range o.path {
		if s.expr == nil {
			path = append(path, fact.Field(s.field))
			continue
		}
		switch v := s.expr.Eval(j.frame); v.Kind() {
		case expr.String:
			path = append(path, fact.Field(v.Str()))
		case expr.Int:
			path = append(path, fact.Element(int(v.Int())))
		default:
			return nil, errors.New("a place of the patch could not be computed")
		}
	}
	return path, nil
}

// asFact turns a value that an expression made into a document's.
func asFact(v expr.Value) (fact.Value, error) {
	if v.Node().Present() {
		return v.Node(), nil
	}
	var b fact.Builder
	if err := build(&b, fact.Key{}, v); err != nil {
		return fact.Value{}, err
	}
	return b.Tree().Root(), nil
}

func build(b *fact.Builder, key fact.Key, v expr.Value) (err error) {
	var at fact.Pos
	if v.Node().Present() {
		b.Copy(key, v.Node())
		return nil
	}
	switch v.Kind() {
	case expr.Null:
		b.Null(key, at)
	case expr.Bool:
		b.Bool(key, at, v.True())
	case expr.Int:
		b.Int(key, at, v.Int())
	case expr.Double:
		b.Float(key, at, v.Double())
	case expr.String:
		b.String(key, at, v.Str())
	case expr.List, expr.Map:
		kind := fact.List
		if v.Kind() == expr.Map {
			kind = fact.Map
		}
		b.Begin(key, at, kind)
		v.Each(func(k, val expr.Value) bool {
			name := fact.Key{}
			if kind == fact.Map {
				name = fact.K(k.Text())
			}
			err = build(b, name, val)
			return err == nil
		})
		b.End()
	default:
		err = fmt.Errorf("a %s cannot stand in an object", v.Kind())
	}
	return err
}
