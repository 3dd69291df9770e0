package control

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/merlon-security/merlon/internal/finding"
	"go.yaml.in/yaml/v3"
)

// Example returns what teaches a control best out of its own cases: the first
// that fails and, of those that pass, the one that is most like it. The cases
// that need other settings are taken only where there are no others.
func (c *Control) Example() (fails, passes *Case, err error) {
	cases, err := c.Cases()
	if err != nil {
		return nil, nil, err
	}
	best := -1
	for _, plain := range []bool{true, false} {
		for i := range cases {
			if cs := &cases[i]; fails == nil && cs.Verdict == finding.Fail && (cs.Params == nil) == plain {
				fails = cs
			}
		}
	}
	text, err := fails.Text()
	if err != nil {
		return nil, nil, err
	}
	for i := range cases {
		cs := &cases[i]
		if cs.Verdict != finding.Pass {
			continue
		}
		other, err := cs.Text()
		if err != nil {
			return nil, nil, err
		}
		if n := likeness(fails, cs, text, other); n > best {
			passes, best = cs, n
		}
	}
	return fails, passes, nil
}

// likeness says how alike two cases are; only the order matters.
func likeness(a, b *Case, textA, textB string) int {
	n := 1
	if a.Short == b.Short {
		n += 40
	}
	if (a.Params == nil) == (b.Params == nil) && a.Kubernetes == b.Kubernetes {
		n += 400
	}
	if !strings.Contains(textB, ": null") {
		n += 20 // null means unset to those who know
	}
	lines := map[string]int{}
	for l := range strings.Lines(textA) {
		lines[l]++
	}
	common, total := 0, strings.Count(textA, "\n")
	for l := range strings.Lines(textB) {
		total++
		if lines[l] > 0 {
			lines[l]--
			common++
		}
	}
	return n + 200*common/max(1, total)
}

// Text returns what the case is about as a person writes it in a manifest: the
// objects, or the part of a pod that the short forms hold.
func (c *Case) Text() (string, error) {
	switch c.Short {
	case "container":
		snippet := block(c.snippet)
		if child(snippet, "name") == nil {
			snippet.Content = append([]*yaml.Node{{Kind: yaml.ScalarNode, Value: "name"}, {Kind: yaml.ScalarNode, Value: "app"}}, snippet.Content...)
		}
		return written(mapping("containers", &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{snippet}}))
	case "pod":
		return written(mapping("spec", block(c.snippet)))
	}
	var parts []string
	for i := range c.written {
		text, err := written(block(&c.written[i]))
		if err != nil {
			return "", err
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "---\n"), nil
}

func mapping(key string, v *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: key}, v}}
}

func written(n *yaml.Node) (string, error) {
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return "", fmt.Errorf("write case: %w", err)
	}
	return buf.String(), nil
}

// block returns a copy of a node in block style, but for lists of a few plain
// values.
func block(n *yaml.Node) *yaml.Node {
	out := *n
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		return block(n.Content[0])
	}
	short := n.Kind == yaml.SequenceNode
	width := 0
	out.Content = make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out.Content[i] = block(c)
		short = short && c.Kind == yaml.ScalarNode
		width += len(c.Value) + 2
	}
	if len(n.Content) > 0 && (!short || width > 70) {
		out.Style &^= yaml.FlowStyle
	}
	return &out
}
