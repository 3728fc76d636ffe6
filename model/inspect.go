package model

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/op"
)

// Summary returns a table of the layers: name, shape of the output, and number
// of parameters. Of an ensemble it describes one member.
func (m *Model) Summary() string {
	if m.many != nil {
		return fmt.Sprintf("%sensemble of %d members, each as above\n", m.many.member.Summary(), m.many.n)
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "layer\tkind\toutput\tparameters\tinputs\n")
	fmt.Fprintf(w, "input\t\t%s\t\t\n", outputText(m.input.Shape))
	params, states := 0, 0
	for i, l := range m.layers {
		n, s := m.sizes(l)
		params, states = params+n, states+s
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", l.name, l.kind, outputText(m.shapes[i]), n+s, m.inputNames(i))
	}
	w.Flush()
	fmt.Fprintf(&b, "parameters: %d trained", params)
	if states > 0 {
		fmt.Fprintf(&b, ", %d not trained", states)
	}
	return trimLines(b.String()) + "\n"
}

// sizes returns how many numbers the parameters and states of a layer have.
func (m *Model) sizes(l *layer) (params, states int) {
	for _, v := range m.vars {
		owner := v.Name[:strings.LastIndexByte(v.Name, '.')]
		switch {
		case owner != l.name:
		case v.Role == ir.Param:
			params += ir.Size(v.Shape)
		case v.Role == ir.State:
			states += ir.Size(v.Shape)
		}
	}
	return params, states
}

// inputNames lists the inputs of a layer, unless it is just the previous layer.
func (m *Model) inputNames(i int) string {
	l := m.layers[i]
	if len(l.inputs) == 1 && l.inputs[0] == i-1 {
		return ""
	}
	var names []string
	for _, k := range l.inputs {
		if k == dataInput {
			names = append(names, "input")
		} else {
			names = append(names, m.layers[k].name)
		}
	}
	return strings.Join(names, ", ")
}

// outputText prints the shape of a layer's output, as [batch, 28, 28].
func outputText(row []int) string {
	text := "[batch"
	for _, d := range row {
		text += fmt.Sprintf(", %d", d)
	}
	return text + "]"
}

// trimLines removes blanks at the end of lines.
func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

// Graph returns the training graph, before lowering: as text, one node per line in the
// order of execution, and in the language of Graphviz. Of an ensemble it is that of a
// member.
func (m *Model) Graph() (text, dot string, err error) {
	if m.many != nil {
		return m.many.member.Graph()
	}
	g, err := m.graph(programKey{name: "gradient", targets: true}, ir.B)
	if err != nil {
		return "", "", err
	}
	roots := make([]*G.Node, len(g.roots))
	results := map[*G.Node][]string{}
	for i, r := range g.roots {
		roots[i] = r.Node
		results[r.Node] = append(results[r.Node], r.Name)
	}
	nodes, err := op.Sort(g.g, roots)
	if err != nil {
		return "", "", err
	}
	return graphText(nodes, results), graphDOT(nodes, results), nil
}

func graphText(nodes []*G.Node, results map[*G.Node][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, n := range nodes {
		var in []string
		for _, c := range op.Children(n) {
			in = append(in, nodeName(nodes, c))
		}
		note := op.Layer(n)
		if names := results[n]; len(names) > 0 {
			note += " -> " + strings.Join(names, ", ")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", nodeName(nodes, n), shapeBrackets(n),
			describe(n), strings.Join(in, " "), strings.TrimSpace(note))
	}
	w.Flush()
	return trimLines(b.String())
}

// nodeName returns a leaf's name, or the number of another node's line.
func nodeName(nodes []*G.Node, n *G.Node) string {
	if n.Op() == nil {
		return n.Name()
	}
	return fmt.Sprintf("#%d", slices.Index(nodes, n))
}

// describe returns what a node computes.
func describe(n *G.Node) string {
	if n.Op() == nil {
		return "leaf"
	}
	return op.Describe(n)
}

func shapeBrackets(n *G.Node) string {
	v := op.Value(n)
	return v.Type.String() + ir.ShapeText(v.Shape)
}

// graphDOT groups the nodes by layer.
func graphDOT(nodes []*G.Node, results map[*G.Node][]string) string {
	var b strings.Builder
	b.WriteString("digraph model {\n\trankdir=TB;\n\tnode [shape=box, fontname=\"Helvetica\", fontsize=10];\n")
	var layers []string
	members := map[string][]int{}
	for i, n := range nodes {
		layer := op.Layer(n)
		if _, ok := members[layer]; !ok {
			layers = append(layers, layer)
		}
		members[layer] = append(members[layer], i)
	}
	for k, layer := range layers {
		if layer != "" {
			fmt.Fprintf(&b, "\tsubgraph cluster_%d {\n\t\tlabel=%q;\n", k, layer)
		}
		for _, i := range members[layer] {
			shape := ""
			if nodes[i].Op() == nil {
				shape = ", shape=ellipse"
			}
			label := append([]string{op.Describe(nodes[i]), shapeBrackets(nodes[i])}, results[nodes[i]]...)
			fmt.Fprintf(&b, "\t\tn%d [label=%q%s];\n", i, strings.Join(label, "\n"), shape)
		}
		if layer != "" {
			b.WriteString("\t}\n")
		}
	}
	for i, n := range nodes {
		for _, c := range op.Children(n) {
			fmt.Fprintf(&b, "\tn%d -> n%d;\n", slices.Index(nodes, c), i)
		}
	}
	b.WriteString("}\n")
	return b.String()
}
