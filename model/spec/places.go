package spec

import (
	"fmt"
	"maps"

	"go.yaml.in/yaml/v3"
)

// Places returns where the settings of the spec's own file were given, by path: for a
// text that Marshal makes of it to be parsed elsewhere with Options.Places. What came
// from a flag or the environment has no place in it.
func (s *Spec) Places() map[string]Pos {
	out := maps.Clone(s.places)
	maps.DeleteFunc(out, func(_ string, p Pos) bool { return p.File != s.File || p.Line <= 0 })
	return out
}

// replace gives a node and all below it the places of another file; one that has none
// there gets that of the node around it.
func replace(n *yaml.Node, path string, around Pos, places map[string]Pos) {
	if p, ok := places[path]; ok {
		around = p
	}
	n.Line, n.Column = around.Line, around.Col
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			at := join(path, key.Value)
			replace(key, at, around, places)
			replace(value, at, around, places)
		}
	case yaml.SequenceNode:
		for i, e := range n.Content {
			replace(e, fmt.Sprintf("%s[%d]", path, i), around, places)
		}
	}
}
