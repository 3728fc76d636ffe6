package main

import (
	"fmt"
	"math/rand/v2"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// tapeMachineStep returns a training step of stock Gorgonia: its own ops, its
// VM with dual values bound, its vanilla SGD solver.
func tapeMachineStep() (step func(), close func(), err error) {
	g := G.NewGraph()
	x := G.NewMatrix(g, tensor.Float32, G.WithName("x"), G.WithShape(batch, 784))
	y := G.NewMatrix(g, tensor.Float32, G.WithName("y"), G.WithShape(batch, 10))
	var params G.Nodes
	h := x
	widths := []int{784, 512, 512, 10}
	for i := range len(widths) - 1 {
		w := G.NewMatrix(g, tensor.Float32, G.WithName(fmt.Sprint("w", i)),
			G.WithShape(widths[i], widths[i+1]), G.WithInit(G.GlorotU(1)))
		b := G.NewMatrix(g, tensor.Float32, G.WithName(fmt.Sprint("b", i)),
			G.WithShape(1, widths[i+1]), G.WithInit(G.Zeroes()))
		params = append(params, w, b)
		if h, err = G.Mul(h, w); err != nil {
			return nil, nil, err
		}
		if h, err = G.BroadcastAdd(h, b, nil, []byte{0}); err != nil {
			return nil, nil, err
		}
		if i < len(widths)-2 {
			if h, err = G.Rectify(h); err != nil {
				return nil, nil, err
			}
		}
	}
	loss, err := crossEntropy(h, y)
	if err != nil {
		return nil, nil, err
	}
	if _, err := G.Grad(loss, params...); err != nil {
		return nil, nil, err
	}
	vm := G.NewTapeMachine(g, G.BindDualValues(params...))
	solver := G.NewVanillaSolver(G.WithLearnRate(0.01))
	model := G.NodesToValueGrads(params)
	xs, ys := tapeBatch()
	step = func() {
		must(G.Let(x, xs))
		must(G.Let(y, ys))
		must(vm.RunAll())
		must(solver.Step(model))
		vm.Reset()
	}
	return step, func() { vm.Close() }, nil
}

// crossEntropy is -mean over the rows of Σ y·log softmax(logits).
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

func tapeBatch() (x, y *tensor.Dense) {
	rng := rand.New(rand.NewPCG(1, 2))
	pixels, onehot := make([]float32, batch*784), make([]float32, batch*10)
	for i := range pixels {
		pixels[i] = rng.Float32()
	}
	for row := range batch {
		onehot[row*10+rng.IntN(10)] = 1
	}
	return tensor.New(tensor.WithShape(batch, 784), tensor.WithBacking(pixels)),
		tensor.New(tensor.WithShape(batch, 10), tensor.WithBacking(onehot))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
