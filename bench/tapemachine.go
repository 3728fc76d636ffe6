package main

import (
	"fmt"
	"runtime"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// tapeEngine is stock Gorgonia: its own ops, its VM with dual values bound, its
// vanilla SGD solver.
type tapeEngine struct {
	vm     G.VM
	x, y   *G.Node
	xs, ys *tensor.Dense
	cost   *G.Node
	model  []G.ValueGrad
	solver G.Solver
}

// newTapeEngine takes works that are dense layers trained with SGD.
func newTapeEngine(w *work) (engine, error) {
	if w.Optimizer != "sgd" || len(w.Input) != 1 || w.Precision != "" {
		return nil, fmt.Errorf("the TapeMachine only runs dense layers with SGD, in float32")
	}
	runtime.GOMAXPROCS(w.Threads) // its matrix products take all that there are
	g := G.NewGraph()
	t := &tapeEngine{
		x: G.NewMatrix(g, tensor.Float32, G.WithName("x"), G.WithShape(w.Batch, w.Input[0])),
		y: G.NewMatrix(g, tensor.Float32, G.WithName("y"), G.WithShape(w.Batch, w.Classes)),
	}
	features, labels, values, err := w.content()
	if err != nil {
		return nil, err
	}
	t.batch(w, features, labels)
	var trained G.Nodes
	h, in := t.x, w.Input[0]
	for i, l := range w.Layers {
		units := int(l["dense"].(params)["units"].(float64))
		kernel := G.NewMatrix(g, tensor.Float32, G.WithName(fmt.Sprint("w", i)), G.WithShape(in, units),
			G.WithValue(take(&values, in, units)))
		bias := G.NewMatrix(g, tensor.Float32, G.WithName(fmt.Sprint("b", i)), G.WithShape(1, units),
			G.WithValue(take(&values, 1, units)))
		trained = append(trained, kernel, bias)
		if h, err = tapeDense(h, kernel, bias, i < len(w.Layers)-1); err != nil {
			return nil, err
		}
		in = units
	}
	if t.cost, err = crossEntropy(h, t.y); err != nil {
		return nil, err
	}
	if _, err := G.Grad(t.cost, trained...); err != nil {
		return nil, err
	}
	t.vm = G.NewTapeMachine(g, G.BindDualValues(trained...))
	t.solver = G.NewVanillaSolver(G.WithLearnRate(rate))
	t.model = G.NodesToValueGrads(trained)
	return t, nil
}

// batch sets the first batch, with one-hot labels.
func (t *tapeEngine) batch(w *work, features []float32, labels []int32) {
	onehot := make([]float32, w.Batch*w.Classes)
	for row := range w.Batch {
		onehot[row*w.Classes+int(labels[row])] = 1
	}
	t.xs = tensor.New(tensor.WithShape(w.Batch, w.Input[0]), tensor.WithBacking(features[:w.Batch*w.Input[0]]))
	t.ys = tensor.New(tensor.WithShape(w.Batch, w.Classes), tensor.WithBacking(onehot))
}

// take cuts a matrix from the front of values.
func take(values *[]float32, rows, cols int) *tensor.Dense {
	backing := (*values)[: rows*cols : rows*cols]
	*values = (*values)[rows*cols:]
	return tensor.New(tensor.WithShape(rows, cols), tensor.WithBacking(backing))
}

func tapeDense(x, kernel, bias *G.Node, relu bool) (*G.Node, error) {
	y, err := G.Mul(x, kernel)
	if err != nil {
		return nil, err
	}
	if y, err = G.BroadcastAdd(y, bias, nil, []byte{0}); err != nil || !relu {
		return y, err
	}
	return G.Rectify(y)
}

// crossEntropy is -mean over the rows of Σ y·log softmax(logits); like G.Mean of
// the product it divides by rows·classes, which changes no cost.
func crossEntropy(logits, y *G.Node) (*G.Node, error) {
	prob, err := G.SoftMax(logits)
	if err != nil {
		return nil, err
	}
	logProb, err := G.Log(prob)
	if err != nil {
		return nil, err
	}
	picked, err := G.HadamardProd(logProb, y)
	if err != nil {
		return nil, err
	}
	mean, err := G.Mean(picked)
	if err != nil {
		return nil, err
	}
	return G.Neg(mean)
}

func (t *tapeEngine) step() error {
	if err := G.Let(t.x, t.xs); err != nil {
		return err
	}
	if err := G.Let(t.y, t.ys); err != nil {
		return err
	}
	if err := t.vm.RunAll(); err != nil {
		return err
	}
	if err := t.solver.Step(t.model); err != nil {
		return err
	}
	t.vm.Reset()
	return nil
}

// loss is unknown before the first step, which would change the parameters.
func (t *tapeEngine) loss() (float64, error) { return 0, nil }

func (t *tapeEngine) close() { t.vm.Close() }
