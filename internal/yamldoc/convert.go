package yamldoc

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/merlon-security/merlon/internal/fact"
)

// converter turns the nodes of one YAML document into a tree, in the meaning
// that go.yaml.in/yaml/v2 and sigs.k8s.io/yaml give them.
type converter struct {
	b        fact.Builder
	limits   Limits
	problems []Problem

	line, column int // of the document's first byte in its file
	places       placer
	wideText     bool     // the document holds other bytes than ASCII, or odd line breaks
	bareTag      bool     // the document may hold the tag `!`
	keys         []keyRef // stack of the keys of the maps being converted
	count        int      // values met, as v2 counts them
	aliased      int      // of these, those met through an alias
	aliasDepth   int
	aliases      []*yaml.Node // being expanded
	textBytes    int
	dead         int // >0 within an entry that a later one overwrites: only YAML's errors count, not JSON's
	seen         map[fact.Key]int
}

// keyRef is an entry of a map before it is written: a later one with the same
// key takes the place of an earlier one.
type keyRef struct {
	key   fact.Key
	node  *yaml.Node // the key, for its place
	value *yaml.Node
	alias bool // met through an alias or merge, outside of this map's own text
	dead  bool // overwritten
}

// convertError carries an error up through the recursion.
type convertError struct{ *Error }

func (c *converter) start(p part, text []byte) {
	c.problems, c.keys, c.aliases = c.problems[:0], c.keys[:0], c.aliases[:0]
	c.line, c.column = p.line, p.column
	c.count, c.aliased, c.aliasDepth, c.textBytes, c.dead = 0, 0, 0, 0, 0
	c.wideText, c.bareTag = !isASCII(text) || holdsLoneReturn(text), holdsBareTag(text)
	if c.wideText || c.bareTag {
		c.places.read(text)
	}
}

// holdsBareTag reports whether there is an exclamation mark that could be the
// tag which makes a string of any scalar.
func holdsBareTag(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '!')
		if i < 0 {
			return false
		}
		if text = text[i+1:]; len(text) == 0 || strings.IndexByte(" \t\r\n,]}", text[0]) >= 0 {
			return true
		}
	}
}

// convert writes a document into the builder. It reports false for a document
// that holds nothing, or null: kubectl passes over both.
func (c *converter) convert(doc *yaml.Node) (ok bool, err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case convertError:
			ok, err = false, e.Error
		default:
			panic(e)
		}
	}()
	if doc == nil || len(doc.Content) == 0 {
		return false, nil
	}
	root := doc.Content[0]
	c.count++
	if root.Kind == yaml.ScalarNode {
		if v := c.resolve(root); v.kind == fact.Null && v.why == "" {
			return false, nil
		}
	}
	c.value(fact.Key{}, c.pos(root), root)
	return true, nil
}

func (c *converter) fail(n *yaml.Node, kind, message string) {
	at := c.pos(n)
	panic(convertError{&Error{Kind: kind, Line: int(at.Line), Column: int(at.Column), Message: message}})
}

// step counts a value and bounds what aliases may make of a document: v2's own
// rule, so that what it refuses is refused, and the limits besides.
func (c *converter) step(n *yaml.Node) {
	c.count++
	if c.aliasDepth > 0 {
		c.aliased++
	}
	if c.aliased > 100 && c.count > 1000 && float64(c.aliased)/float64(c.count) > allowedAliasRatio(c.count) {
		c.fail(n, AliasBomb, "the document's aliases make too much of it")
	}
	if c.count > c.limits.Values {
		c.fail(n, TooLarge, fmt.Sprintf("the document holds more than %d values", c.limits.Values))
	}
}

// allowedAliasRatio is v2's function of the same name: 99 % of a small document
// may come from aliases, 10 % of one with four million values.
func allowedAliasRatio(count int) float64 {
	const low, high = 400_000, 4_000_000
	switch {
	case count <= low:
		return 0.99
	case count >= high:
		return 0.10
	}
	return 0.99 - 0.89*(float64(count-low)/float64(high-low))
}

// value writes one value under a key.
func (c *converter) value(key fact.Key, at fact.Pos, n *yaml.Node) {
	c.step(n)
	switch n.Kind {
	case yaml.ScalarNode:
		c.scalar(key, at, n)
	case yaml.MappingNode:
		c.open(key, at, fact.Map, n)
		c.mapping(n)
		c.b.End()
	case yaml.SequenceNode:
		c.open(key, at, fact.List, n)
		for _, e := range n.Content {
			c.value(fact.Key{}, c.pos(e), e)
		}
		c.b.End()
	case yaml.AliasNode:
		c.enter(n)
		c.value(key, at, n.Alias)
		c.leave()
	}
}

func (c *converter) open(key fact.Key, at fact.Pos, kind fact.Kind, n *yaml.Node) {
	if c.b.Depth() >= fact.MaxDepth {
		c.fail(n, TooDeep, fmt.Sprintf("the document nests deeper than %d", fact.MaxDepth))
	}
	c.b.Begin(key, at, kind)
}

func (c *converter) enter(n *yaml.Node) {
	for _, a := range c.aliases {
		if a == n {
			c.fail(n, AliasBomb, "an anchor's value contains itself")
		}
	}
	c.aliases = append(c.aliases, n)
	c.aliasDepth++
}

func (c *converter) leave() {
	c.aliases = c.aliases[:len(c.aliases)-1]
	c.aliasDepth--
}

// resolve says what a scalar node means.
func (c *converter) resolve(n *yaml.Node) scalar {
	switch {
	case c.bareTag && n.Style == 0 && c.hasBareTag(n):
		return scalar{kind: fact.String, s: n.Value}
	case n.Style&yaml.TaggedStyle != 0:
		return resolveTagged(n.Tag, n.Value)
	case n.Style != 0:
		return scalar{kind: fact.String, s: n.Value}
	}
	return resolvePlain(n.Value)
}

// hasBareTag looks for `!` where a node begins, an anchor before it passed over:
// the parser forgets that tag.
func (c *converter) hasBareTag(n *yaml.Node) bool {
	rest := c.places.text[c.places.offset(n.Line, n.Column):]
	if n.Anchor != "" && len(rest) > 0 && rest[0] == '&' {
		rest = bytes.TrimLeft(rest[min(len(rest), 1+len(n.Anchor)):], " \t\r\n")
	}
	return len(rest) > 0 && rest[0] == '!' && holdsBareTag(rest[:min(2, len(rest))])
}

func (c *converter) scalar(key fact.Key, at fact.Pos, n *yaml.Node) {
	v := c.resolve(n)
	if v.why != "" && (c.dead == 0 || !v.real) {
		c.fail(n, InvalidYAML, v.why)
	}
	switch v.kind {
	case fact.Null:
		c.b.Null(key, at)
	case fact.Bool:
		c.b.Bool(key, at, v.b)
	case fact.Int:
		c.b.Int(key, at, v.i)
	case fact.Float:
		c.b.Float(key, at, v.f)
	case fact.String:
		// Aliases can repeat a long text without many values.
		if c.textBytes += len(v.s); c.textBytes > 2*c.limits.Document {
			c.fail(n, AliasBomb, "the document's aliases make too much of it")
		}
		c.b.String(key, at, v.s)
	}
}

// mapping writes the entries of a map, without those that a later one
// overwrites.
func (c *converter) mapping(n *yaml.Node) {
	from := len(c.keys)
	c.entries(n, from, false)
	if len(c.keys)-from > manyKeys {
		c.overwriteMany(from)
	}
	for i := from; i < len(c.keys); i++ {
		e := c.keys[i] // a copy: the stack may move
		if e.alias {
			c.aliasDepth++
		}
		if e.dead { // what is overwritten must be valid all the same
			kept := c.b
			c.b = fact.Builder{}
			c.dead++
			c.value(e.key, c.pos(e.node), e.value)
			c.dead--
			c.b = kept
		} else {
			c.value(e.key, c.pos(e.node), e.value)
		}
		if e.alias {
			c.aliasDepth--
		}
	}
	c.keys = c.keys[:from]
}

// manyKeys is the number of entries from which looking for duplicates goes
// through a table.
const manyKeys = 32

// entries appends the entries of a map to the stack, merge keys expanded in the
// order in which v2 does it: a merge overwrites what stands above it, which is
// not what YAML's merge key says.
func (c *converter) entries(n *yaml.Node, from int, alias bool) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && isMerge(k) {
			c.merge(v, from)
			continue
		}
		c.step(k)
		e := keyRef{key: c.key(k), node: k, value: v, alias: alias}
		if len(c.keys)-from < manyKeys {
			for j := from; j < len(c.keys); j++ {
				if c.keys[j].key == e.key && !c.keys[j].dead {
					c.overwrite(&c.keys[j], &e)
				}
			}
		}
		c.keys = append(c.keys, e)
	}
}

// overwriteMany finds duplicates in a long map.
func (c *converter) overwriteMany(from int) {
	if c.seen == nil {
		c.seen = make(map[fact.Key]int)
	}
	clear(c.seen)
	for i := from; i < len(c.keys); i++ {
		e := &c.keys[i]
		if j, ok := c.seen[e.key]; ok && !c.keys[j].dead {
			c.overwrite(&c.keys[j], e)
		}
		c.seen[e.key] = i
	}
}

// overwrite lets a later entry take an earlier one's place. Only a key written
// twice in one map is a problem; a merge is there to be overwritten.
func (c *converter) overwrite(old, e *keyRef) {
	old.dead = true
	if !old.alias && !e.alias && len(c.problems) < maxProblems {
		first := c.pos(old.node)
		c.problems = append(c.problems, Problem{
			Kind: DuplicateKey, Pos: c.pos(e.node), Path: e.key.String(),
			Message: fmt.Sprintf("the key stands twice in one map; this one replaces line %d", first.Line),
		})
	}
}

func isMerge(k *yaml.Node) bool {
	return k.Value == "<<" && (k.Style == 0 || k.Style&yaml.TaggedStyle != 0 && k.Tag == "!!merge")
}

func (c *converter) merge(v *yaml.Node, from int) {
	one := func(v *yaml.Node) {
		c.step(v)
		m := v
		if v.Kind == yaml.AliasNode {
			c.enter(v)
			defer c.leave()
			c.step(v.Alias)
			m = v.Alias
		}
		if m.Kind != yaml.MappingNode {
			c.fail(v, InvalidYAML, "a merge key takes a map or a list of maps")
		}
		if len(c.aliases) > fact.MaxDepth {
			c.fail(v, TooDeep, fmt.Sprintf("the document nests deeper than %d", fact.MaxDepth))
		}
		c.entries(m, from, true)
	}
	if v.Kind != yaml.SequenceNode {
		one(v)
		return
	}
	for i := len(v.Content) - 1; i >= 0; i-- { // earlier ones take precedence
		one(v.Content[i])
	}
}

// key interns the text of a key.
func (c *converter) key(k *yaml.Node) fact.Key {
	if k.Kind == yaml.ScalarNode && k.Style&^(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 && k.Style != 0 {
		return c.b.Key(k.Value)
	}
	n := k
	for n.Kind == yaml.AliasNode {
		c.enter(n)
		c.step(n.Alias)
		n = n.Alias
		c.leave()
	}
	if n.Kind != yaml.ScalarNode {
		c.fail(k, InvalidYAML, "a key is a list or a map")
	}
	v := c.resolve(n)
	text, why := v.keyText()
	if why != "" && (c.dead == 0 || v.why != "") {
		c.fail(k, InvalidYAML, why)
	}
	return c.b.Key(text)
}

// pos is the place of a node in its file. The parser counts columns in
// characters and takes more than newlines for line breaks, so a document that
// holds other bytes than ASCII is looked at again.
func (c *converter) pos(n *yaml.Node) fact.Pos {
	line, column := n.Line, n.Column
	if c.wideText {
		line, column = c.places.place(line, column)
	}
	if line == 1 {
		column += c.column
	}
	return fact.Pos{Line: uint32(line + c.line - 1), Column: uint32(column)}
}
