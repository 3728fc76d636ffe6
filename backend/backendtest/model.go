package backendtest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
)

// Sizes of the tiny model: features, hidden units, classes.
const features, hidden, classes = 12, 9, 3

// variables of the tiny model. Parameters come first, then states, then one
// optimiser slot per parameter.
const (
	k1 = iota
	b1
	gamma
	beta
	k2
	b2
	numParams
	mean     = numParams
	variance = numParams + 1
	slots    = numParams + 2
)

// A Tiny is a small model with hand-written programs:
//
//	h = relu(x·k1 + b1), n = batch_norm(h), d = dropout(n), z = d·k2 + b2
//
// with softmax cross-entropy, and SGD with momentum or Adam.
type Tiny struct {
	t testing.TB
	// Plain leaves out batch norm and dropout, so that the loss of a batch is
	// the mean of the losses of its rows.
	Plain bool
	// Still leaves out dropout alone.
	Still bool
	// Adam makes that the optimiser, whose steps depend on their number.
	Adam bool
}

// Vars returns the variables.
func (m *Tiny) Vars() []ir.Var {
	vars := []ir.Var{
		{Name: "dense.kernel", Shape: []int{features, hidden}},
		{Name: "dense.bias", Shape: []int{hidden}},
		{Name: "norm.gamma", Shape: []int{hidden}},
		{Name: "norm.beta", Shape: []int{hidden}},
		{Name: "out.kernel", Shape: []int{hidden, classes}},
		{Name: "out.bias", Shape: []int{classes}},
		{Name: "norm.mean", Shape: []int{hidden}, Role: ir.State},
		{Name: "norm.variance", Shape: []int{hidden}, Role: ir.State},
	}
	for _, v := range vars[:numParams] {
		vars = append(vars, ir.Var{Name: "optimizer.m." + v.Name, Shape: v.Shape, Role: ir.OptState})
	}
	if m.Adam {
		for _, v := range vars[:numParams] {
			vars = append(vars, ir.Var{Name: "optimizer.v." + v.Name, Shape: v.Shape, Role: ir.OptState})
		}
	}
	return vars
}

// Initial returns values for the variables.
func (m *Tiny) Initial() [][]float32 {
	r := rand.New(rand.NewPCG(1, 2))
	var values [][]float32
	for i, v := range m.Vars() {
		x := make([]float32, ir.Size(v.Shape))
		for k := range x {
			switch {
			case i == gamma || i == variance:
				x[k] = 1
			case i < numParams:
				x[k] = float32(0.3 * r.NormFloat64())
			}
		}
		values = append(values, x)
	}
	return values
}

var (
	bnAttrs   = ir.Attrs{Eps: 1e-3}
	dropAttrs = ir.Attrs{Rate: 0.25, Seed: 42}
	relu      = ir.Attrs{Bias: true, Act: ir.ReLU}
)

// Forward returns the inference program.
func (m *Tiny) Forward(targets bool) (*ir.Program, error) {
	b := NewBuilder(m.t, "forward", ir.B, m.Vars())
	x := b.Input(ir.InX, ir.Float, ir.B, features)
	h := b.Do(ir.MatMul, relu, x, b.Variable(k1), b.Variable(b1))[0]
	if !m.Plain {
		h = b.Do(ir.BatchNormInfer, bnAttrs, h, b.Variable(gamma), b.Variable(beta),
			b.Variable(mean), b.Variable(variance))[0]
	}
	z := b.Do(ir.MatMul, ir.Attrs{Bias: true}, h, b.Variable(k2), b.Variable(b2))[0]
	b.Name(b.Do(ir.Softmax, ir.Attrs{}, z)[0], ir.OutPrediction)
	if targets {
		m.loss(b, z)
	}
	return b.Done(), nil
}

// loss adds the loss and metrics on logits z, and returns probabilities and y.
func (m *Tiny) loss(b *Builder, z ir.Slot) (prob, y ir.Slot) {
	y = b.Input(ir.InY, ir.Int, ir.B)
	out := b.Do(ir.SoftmaxXent, ir.Attrs{}, z, y)
	b.Name(out[0], ir.OutLoss)
	b.Name(b.Do(ir.Metric, ir.Attrs{Metric: ir.Accuracy}, z, y)[0], ir.MetricPrefix+"accuracy")
	b.Name(b.Do(ir.Metric, ir.Attrs{Metric: ir.Confusion}, z, y)[0], ir.MetricPrefix+"confusion")
	return out[1], y
}

// Gradient returns the training program.
func (m *Tiny) Gradient(add bool) (*ir.Program, error) {
	b := NewBuilder(m.t, "gradient", ir.B, m.Vars())
	x, seed, tick := b.Input(ir.InX, ir.Float, ir.B, features), b.Input(ir.InSeed, ir.Float, 1), ir.None
	wk2, wgamma := b.Variable(k2), b.Variable(gamma)
	h := b.Do(ir.MatMul, relu, x, b.Variable(k1), b.Variable(b1))[0]
	d := h
	var bn []ir.Slot
	if !m.Plain {
		bn = b.Do(ir.BatchNorm, bnAttrs, h, wgamma, b.Variable(beta))
		d = bn[0]
	}
	if !m.Plain && !m.Still {
		tick = b.Input(ir.InTick, ir.Int, 1)
		d = b.Do(ir.Dropout, dropAttrs, d, tick)[0]
	}
	z := b.Do(ir.MatMul, ir.Attrs{Bias: true}, d, wk2, b.Variable(b2))[0]
	prob, y := m.loss(b, z)

	grads := map[int]ir.Slot{}
	dz := b.Do(ir.SoftmaxXentGrad, ir.Attrs{}, prob, y, seed)[0]
	grads[k2] = b.Do(ir.MatMul, ir.Attrs{TransA: true}, d, dz)[0]
	grads[b2] = b.Do(ir.BiasGrad, ir.Attrs{}, dz)[0]
	dh := b.Do(ir.MatMul, ir.Attrs{TransB: true}, dz, wk2)[0]
	if !m.Plain {
		dn := dh
		if !m.Still {
			dn = b.Do(ir.Dropout, dropAttrs, dh, tick)[0]
		}
		out := b.Do(ir.BatchNormGrad, bnAttrs, h, wgamma, bn[1], bn[2], dn)
		dh, grads[gamma], grads[beta] = out[0], out[1], out[2]
		grads[mean], grads[variance] = m.weigh(b, bn[1], seed), m.weigh(b, bn[2], seed)
	}
	dh = b.Do(ir.ActGrad, ir.Attrs{Act: ir.ReLU}, h, dh)[0]
	grads[k1] = b.Do(ir.MatMul, ir.Attrs{TransA: true}, x, dh)[0]
	grads[b1] = b.Do(ir.BiasGrad, ir.Attrs{}, dh)[0]
	m.store(b, grads, add)
	return b.Done(), nil
}

// weigh returns the weight of the batch times a statistic: seed [1,1] · s [1,C].
func (m *Tiny) weigh(b *Builder, s, seed ir.Slot) ir.Slot {
	n := b.P.Values[s].Size()
	return b.View(b.Do(ir.MatMul, ir.Attrs{}, b.View(seed, 1, 1), b.View(s, 1, n))[0], n)
}

// store makes the results gradients, or adds them to those.
func (m *Tiny) store(b *Builder, grads map[int]ir.Slot, add bool) {
	for i := range slots {
		s, ok := grads[i]
		switch {
		case !ok:
		case add:
			b.Assign(ir.Accumulate, ir.Attrs{}, []ir.Slot{s}, []ir.Slot{b.Grad(i)})
		default:
			b.Assign(ir.Activation, ir.Attrs{}, []ir.Slot{s}, []ir.Slot{b.Grad(i)})
		}
	}
}

// Update returns the optimiser's program.
func (m *Tiny) Update() (*ir.Program, error) {
	b := NewBuilder(m.t, "update", 0, m.Vars())
	in := []ir.Slot{b.Input(ir.InRate, ir.Float, 1), b.Input(ir.InStep, ir.Int, 1)}
	var params, momenta, squares []ir.Slot
	for i := range numParams {
		if m.Plain && (i == gamma || i == beta) {
			continue
		}
		in = append(in, b.Grad(i))
		params, momenta = append(params, b.Variable(i)), append(momenta, b.Variable(slots+i))
		if m.Adam {
			squares = append(squares, b.Variable(slots+numParams+i))
		}
	}
	if m.Adam {
		a := ir.Attrs{Beta1: 0.9, Beta2: 0.99, Eps: 1e-3}
		b.Assign(ir.Adam, a, in, slices.Concat(params, momenta, squares))
	} else {
		b.Assign(ir.SGD, ir.Attrs{Momentum: 0.9}, in, append(params, momenta...))
	}
	if !m.Plain {
		b.Assign(ir.EMA, ir.Attrs{Momentum: 0.9}, []ir.Slot{b.Grad(mean), b.Grad(variance)},
			[]ir.Slot{b.Variable(mean), b.Variable(variance)})
	}
	return b.Done(), nil
}

// A Single is a model whose states are mean and variance of the latest gradient run. Its
// loss is of the features as they are.
type Single struct{ t testing.TB }

// Vars returns the states, and what normalisation wants.
func (m *Single) Vars() []ir.Var {
	of := func(name string, role ir.Role) ir.Var {
		return ir.Var{Name: name, Shape: []int{features}, Role: role}
	}
	return []ir.Var{of("mean", ir.State), of("variance", ir.State), of("gamma", ir.Param), of("beta", ir.Param)}
}

// Initial returns zeros.
func (m *Single) Initial() [][]float32 {
	zeros := make([]float32, features)
	return [][]float32{zeros, zeros, zeros, zeros}
}

// Forward returns the inference program, which is that of training without gradients.
func (m *Single) Forward(targets bool) (*ir.Program, error) {
	b := NewBuilder(m.t, "forward", ir.B, m.Vars())
	x := b.Input(ir.InX, ir.Float, ir.B, features)
	y := b.Do(ir.BatchNormInfer, bnAttrs, x, b.Variable(2), b.Variable(3), b.Variable(0), b.Variable(1))[0]
	b.Name(y, ir.OutPrediction)
	if targets {
		m.loss(b, x)
	}
	return b.Done(), nil
}

func (m *Single) loss(b *Builder, x ir.Slot) {
	b.Name(b.Do(ir.SoftmaxXent, ir.Attrs{}, x, b.Input(ir.InY, ir.Int, ir.B))[0], ir.OutLoss)
}

// Gradient returns the training program.
func (m *Single) Gradient(add bool) (*ir.Program, error) {
	b := NewBuilder(m.t, "gradient", ir.B, m.Vars())
	x, seed := b.Input(ir.InX, ir.Float, ir.B, features), b.Input(ir.InSeed, ir.Float, 1)
	n := b.Do(ir.BatchNorm, bnAttrs, x, b.Variable(2), b.Variable(3))
	m.loss(b, x)
	for i := range 2 {
		weighed := (&Tiny{t: m.t}).weigh(b, n[1+i], seed)
		op := ir.Activation
		if add {
			op = ir.Accumulate
		}
		b.Assign(op, ir.Attrs{}, []ir.Slot{weighed}, []ir.Slot{b.Grad(i)})
	}
	return b.Done(), nil
}

// Update returns the program that keeps the statistics.
func (m *Single) Update() (*ir.Program, error) {
	b := NewBuilder(m.t, "update", 0, m.Vars())
	b.Assign(ir.EMA, ir.Attrs{}, []ir.Slot{b.Grad(0), b.Grad(1)}, []ir.Slot{b.Variable(0), b.Variable(1)})
	return b.Done(), nil
}

// tinyData returns rows of random features whose class depends on them.
func tinyData(train, test int) *data.Set {
	r := rand.New(rand.NewPCG(3, 4))
	part := func(rows int) data.Part {
		x := data.Table{Shape: []int{features}, F32: make([]float32, rows*features)}
		y := data.Table{I32: make([]int32, rows)}
		for i := range rows {
			class := r.IntN(classes)
			y.I32[i] = int32(class)
			for k := range features {
				x.F32[i*features+k] = float32(r.NormFloat64())
			}
			x.F32[i*features+class] += 2
		}
		return data.Part{X: x, Y: y, Rows: rows}
	}
	set := &data.Set{Classes: classes}
	set.Parts[data.Train], set.Parts[data.Test] = part(train), part(test)
	return set
}

// Job returns a job that trains the tiny model: 203 rows for training, 57 for
// the test, of which none fills the last batch.
func Job(t testing.TB, batch, accumulate int) backend.Job {
	return backend.Job{Programs: &Tiny{t: t}, Data: tinyData(203, 57), Seed: 7, BatchSize: batch,
		Accumulate: accumulate, Shuffle: true, Threads: 1}
}
