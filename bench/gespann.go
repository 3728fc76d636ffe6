package main

import (
	"context"
	"math/rand/v2"

	"github.com/gespann/gespann/backend"
	_ "github.com/gespann/gespann/backend/cpu" // registers cpu
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// batch is the number of rows per step.
const batch = 128

const mlp = `
data: {source: mnist, batch_size: 128, normalize: scale}
model:
  - dense: {units: 512, activation: relu}
  - dense: {units: 512, activation: relu}
  - dense: {units: 10, activation: softmax}
loss: sparse_categorical_crossentropy
optimizer: {sgd: {learning_rate: 0.01}}
`

// gespannStep returns a training step of the cpu backend on random bytes, through
// the same interface that `gespann train` uses.
func gespannStep() (step func(), close func(), err error) {
	s, err := spec.Parse("bench", []byte(mlp), spec.Options{})
	if err != nil {
		return nil, nil, err
	}
	m, err := model.Build(s, model.Input{Shape: []int{784}, Classes: 10})
	if err != nil {
		return nil, nil, err
	}
	be, err := backend.Lookup("cpu")
	if err != nil {
		return nil, nil, err
	}
	ctx := context.Background()
	session, err := be.Open(ctx, backend.Job{Programs: m, Data: randomBytes(), BatchSize: batch,
		Accumulate: 1, Shuffle: true})
	if err != nil {
		return nil, nil, err
	}
	if err := session.Restore(ctx, m.Initial(1)); err != nil {
		return nil, nil, err
	}
	const perEpoch = rows / batch
	done, rate := 0, []float32{0.01}
	step = func() {
		at := done % perEpoch
		span := backend.Span{Epoch: done / perEpoch, First: at, Last: at + 1, Step: int64(done), Rates: rate}
		_, _, err := session.Train(ctx, span)
		must(err)
		done++
	}
	return step, func() { session.Close() }, nil
}

// rows is the size of the data set: larger than the caches, as MNIST is.
const rows = 60000 / batch * batch

func randomBytes() *data.Set {
	rng := rand.New(rand.NewPCG(1, 2))
	x, y := make([]byte, rows*784), make([]byte, rows)
	for i := range x {
		x[i] = byte(rng.Uint32())
	}
	for i := range y {
		y[i] = byte(rng.IntN(10))
	}
	part := data.Part{
		X:    data.Table{Shape: []int{784}, U8: x, Scale: []float32{1. / 255}, Shift: []float32{0}},
		Y:    data.Table{U8: y},
		Rows: rows,
	}
	return &data.Set{Parts: [3]data.Part{part}, Classes: 10, Source: "random bytes"}
}
