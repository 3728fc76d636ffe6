package model

import (
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/lower"
)

// A programKey says which program.
type programKey struct {
	name         string
	targets, add bool
}

// Forward returns the inference program, for any number of rows. Without targets it has
// no input y, no loss and no metrics.
func (m *Model) Forward(targets bool) (*ir.Program, error) {
	return m.program(programKey{name: "forward", targets: targets})
}

// Gradient returns the training program, for any number of rows; an ensemble has none.
// With add, it adds to the gradients instead of overwriting them. The input seed is the batch's weight: gradients
// and batch statistics are multiplied by it, and so become means over all batches
// that are added up.
func (m *Model) Gradient(add bool) (*ir.Program, error) {
	return m.program(programKey{name: "gradient", targets: true, add: add})
}

// Update returns the optimiser's program; an ensemble has none.
func (m *Model) Update() (*ir.Program, error) {
	return m.program(programKey{name: "update"})
}

// program returns a program, which callers must not change. Each is built once.
func (m *Model) program(k programKey) (*ir.Program, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.programs[k]; p != nil {
		return p, nil
	}
	p, err := m.build(k, ir.B, false)
	if err != nil {
		return nil, fmt.Errorf("model: %s program: %w", k.name, err)
	}
	m.programs[k] = p
	return p, nil
}

// build builds a program for so many rows; tests compare that for ir.B with others.
func (m *Model) build(k programKey, rows int, unfused bool) (*ir.Program, error) {
	if m.many != nil && k.name != "forward" {
		return nil, errMembers
	}
	if k.name == "update" {
		return m.update.program(m.Vars()), nil
	}
	g, err := m.graph(k, rows)
	if err != nil {
		return nil, err
	}
	return lower.Lower(g.g, lower.Request{Name: k.name, Batch: rows, Vars: m.Vars(),
		Outputs: g.roots, Add: k.add, Unfused: unfused})
}

// A graph is a complete Gorgonia graph and what is wanted of it.
type graph struct {
	*network
	roots []lower.Output
}

// graph builds the graph of a program.
func (m *Model) graph(k programKey, rows int) (*graph, error) {
	training := k.name == "gradient"
	n, errs := newNetwork(m.layers, m.input, rows, training, m.seed)
	if len(errs) > 0 {
		return nil, errs
	}
	if m.many != nil {
		if err := m.many.mean(n); err != nil {
			return nil, err
		}
	}
	g := &graph{network: n}
	if !training {
		g.root(n.output(), ir.OutPrediction)
	}
	if !k.targets {
		return g, nil
	}
	loss, err := m.head.loss(n)
	if err != nil {
		return nil, err
	}
	g.root(loss, ir.OutLoss)
	metrics := m.metrics
	if training {
		// Before the metrics: Gorgonia wants to differentiate all there is.
		if err := g.gradients(m, loss); err != nil {
			return nil, err
		}
	} else {
		metrics = slices.Concat(metrics, m.head.confusion(m.input))
	}
	for _, x := range metrics {
		node, err := m.head.metric(n, x)
		if err != nil {
			return nil, err
		}
		g.root(node, ir.MetricPrefix+x.name)
	}
	return g, nil
}

// root makes a node an output of the program.
func (g *graph) root(n *G.Node, name string) {
	g.roots = append(g.roots, lower.Output{Node: n, Name: name, Kind: ir.Output, Var: -1})
}

// gradients adds the derivative of the loss, times the input seed, with respect
// to each parameter, and the new batch statistic of each state.
func (g *graph) gradients(m *Model, loss *G.Node) error {
	var params G.Nodes
	for _, v := range g.vars {
		if v.Role == ir.Param {
			params = append(params, g.leaves[v.Name])
		}
	}
	// Not Gorgonia's Grad: the constant 1 that it starts from is a global node.
	seed := g.leaf(ir.InSeed, ir.Float, 1)
	grads, err := G.Backpropagate(G.Nodes{loss}, G.Nodes{seed}, params)
	if err != nil {
		return fmt.Errorf("differentiate: %w", err)
	}
	stats := map[string]*G.Node{}
	for _, s := range g.stats {
		stats[s.name] = s.node
	}
	for i, v := range g.vars {
		node := stats[v.Name]
		if v.Role == ir.Param {
			node, grads = grads[0], grads[1:]
		}
		g.roots = append(g.roots, lower.Output{Node: node, Name: gradName(v.Name), Kind: ir.Grad, Var: i})
	}
	return nil
}

// gradName returns the name of a variable's Grad value.
func gradName(variable string) string { return "grad." + variable }
