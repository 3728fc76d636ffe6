package model

import (
	"errors"
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
)

// An ensemble is several models of one spec whose prediction is the mean of theirs.
type ensemble struct {
	member *Model
	n      int
}

// errMembers is why an ensemble has no training programs.
var errMembers = errors.New("members of an ensemble are trained one by one")

// Ensemble returns a model of n members, each of them m with variables of its own:
// those of m, named member0.… for the first. Its prediction is
//
//	p̄ = 1/n Σ_k p_k
//
// with p_k the output of member k, as probabilities where the loss is a
// cross-entropy. Its loss and metrics are those of p̄. It cannot be trained as a
// whole: Member is what is trained.
//
// Source: Hansen and Salamon, Neural network ensembles, IEEE Trans. Pattern Anal.
// Mach. Intell. 12 (1990).
func (m *Model) Ensemble(n int) *Model {
	e := &Model{
		shapes: m.shapes, input: m.input, head: m.head, metrics: m.metrics, seed: m.seed,
		many: &ensemble{m, n}, programs: map[programKey]*ir.Program{},
	}
	for k := range n {
		for _, v := range m.vars {
			v.Name = memberPrefix(k) + v.Name
			e.vars = append(e.vars, v)
		}
		for _, l := range m.layers {
			e.layers = append(e.layers, l.forMember(k, len(m.layers)))
		}
	}
	return e
}

// memberPrefix is what names of member k begin with.
func memberPrefix(k int) string { return fmt.Sprintf("member%d.", k) }

// forMember returns the layer of member k, when the layers of all members follow
// one another, so many of each.
func (l *layer) forMember(k, layers int) *layer {
	own := *l
	own.name = memberPrefix(k) + l.name
	own.inputs = slices.Clone(l.inputs)
	for i, from := range own.inputs {
		if from != dataInput {
			own.inputs[i] = from + k*layers
		}
	}
	return &own
}

// Members returns how many members an ensemble has; 0: the model is none.
func (m *Model) Members() int {
	if m.many == nil {
		return 0
	}
	return m.many.n
}

// Member returns the model that each member of an ensemble is, with its variables in
// the order in which the ensemble has those of each; nil: the model is no ensemble.
func (m *Model) Member() *Model {
	if m.many == nil {
		return nil
	}
	return m.many.member
}

// initial returns the initial values of all members. The first begins as the model
// alone would, the others with seeds of their own.
func (e *ensemble) initial(seed uint64) [][]float32 {
	out := e.member.Initial(seed)
	for k := 1; k < e.n; k++ {
		out = append(out, e.member.Initial(nameSeed(seed, memberPrefix(k)))...)
	}
	return out
}

// mean adds the mean of the members' outputs, which becomes the network's.
func (e *ensemble) mean(n *network) error {
	c := &construction{network: n, layer: &layer{path: "ensemble", name: "mean"}}
	kind := e.member.head.lossKind.logits
	parts := make([]*G.Node, e.n)
	var row []int
	for k := range parts {
		out := n.outputs[(k+1)*len(e.member.layers)-1]
		if _, written := n.acts[out]; kind != "" && !written {
			out = c.activate(out, kind)
		}
		row = c.row(out)
		parts[k] = c.reshapeAll(out, n.rows, 1, 1, ir.Size(row))
	}
	y := c.apply(ir.Concat, ir.Attrs{Axis: 1}, parts...)
	window := ir.Window{KH: e.n, KW: 1, SH: 1, SW: 1, DH: 1, DW: 1}
	y = c.reshape(c.apply(ir.AvgPool, ir.Attrs{Win: window}, y), row...)
	if kind != "" {
		a := ir.Attrs{}
		if kind == "sigmoid" {
			a.Alpha = 1
		}
		n.acts[y] = activated{kind, c.apply(ir.Logit, a, y)}
	}
	n.outputs = append(n.outputs, y)
	if c.err != nil {
		return c.err
	}
	return nil
}
