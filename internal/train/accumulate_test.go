package train

import (
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// accumulated trains a model of one feature with mean squared error on rows x, all of
// whose targets are 0, two batches to a step, and returns the variables.
func accumulated(t *testing.T, kind, yaml string, batch, epochs int, x ...float32) [][]float32 {
	t.Helper()
	const head = "data: {source: csv, csv: {path: none.csv}, shuffle: false}\nloss: mean_squared_error\n"
	s, err := spec.Parse("test.yaml", []byte(head+yaml), spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	set := &data.Set{}
	set.Parts[data.Train] = data.Part{Rows: len(x), X: data.Table{Shape: []int{1}, F32: x},
		Y: data.Table{Shape: []int{1}, F32: make([]float32, len(x))}}
	m, err := model.Build(s, model.Input{Shape: []int{1}, Target: []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	be, err := backend.Lookup(kind)
	if err != nil {
		t.Fatal(err)
	}
	session, err := be.Open(t.Context(), backend.Job{Programs: m, Data: set, BatchSize: batch, Accumulate: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.Restore(t.Context(), m.Initial(1)); err != nil {
		t.Fatal(err)
	}
	steps := (len(x) + 2*batch - 1) / (2 * batch)
	schedule := model.NewSchedule(s, int64(epochs*steps))
	for epoch := range epochs {
		first := int64(epoch * steps)
		rates := make([]float32, steps)
		for i := range rates {
			rates[i] = schedule.Rate(first+int64(i), 1)
		}
		if _, _, err := session.Train(t.Context(), backend.Span{Epoch: epoch, Last: steps, Step: first, Rates: rates}); err != nil {
			t.Fatal(err)
		}
	}
	vars, err := session.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return vars
}

// TestAccumulate pins what the reference of train.accumulate says, where Keras's
// gradient_accumulation_steps differs: the numbers beside are those of Keras 3.15.
func TestAccumulate(t *testing.T) {
	const line = "model: [{dense: {units: 1, use_bias: false, kernel_initializer: ones}}]\n"
	tol := numtest.Tol{Rel: 1e-6, Why: "some ten roundings"}
	for _, kind := range []string{"ref", "cpu"} {
		// The loss of a row is (wx)²: a step multiplies w by 1 − 2·rate·mean x². That is
		// over the rows 1 2, 3 4 and, at the end of the epoch, 5. Keras has taken two
		// steps by then, to 0.970125, and takes the third with row 1 of the next epoch.
		w := accumulated(t, kind, line+"optimizer: {sgd: {learning_rate: 0.001}}", 1, 1, 1, 2, 3, 4, 5)[0]
		numtest.Close(t, w, []float64{(1 - 0.005) * (1 - 0.025) * (1 - 0.05)}, tol)
		// Nothing is carried over: the next epoch has the same three steps.
		w = accumulated(t, kind, line+"optimizer: {sgd: {learning_rate: 0.001}}", 1, 2, 1, 2, 3, 4, 5)[0]
		numtest.Close(t, w, []float64{0.92161875 * 0.92161875}, tol)
		// Every row counts alike, whatever batch it is in: over 1 1 and 2 the gradient is
		// 2·(1 + 1 + 4)/3. The mean of those of the batches, Keras's, is 5.
		w = accumulated(t, kind, line+"optimizer: {sgd: {learning_rate: 1}}", 2, 1, 1, 1, 2)[0]
		numtest.Close(t, w, []float64{1 - 4}, tol)
		// Schedules count steps, so that the second is half as long. Keras's count batches.
		w = accumulated(t, kind, line+"optimizer: {sgd: {learning_rate: 0.25}}\n"+
			"train: {schedule: {exponential: {decay_steps: 1, decay_rate: 0.5}}}", 1, 1, 1, 1, 1, 1)[0]
		numtest.Close(t, w, []float64{(1 - 0.5) * (1 - 0.25)}, tol)
		// Moving statistics follow once a step, towards the mean of those of the batches.
		// Keras's follow after each batch: to 1.75.
		vars := accumulated(t, kind, "model: [{batch_normalization: {momentum: 0.5}}, {dense: {units: 1}}]\n"+
			"optimizer: {sgd: {learning_rate: 0.001}}", 2, 1, 1, 1, 3, 3)
		numtest.Close(t, vars[2], []float64{0.5 * (1 + 3) / 2}, tol)
	}
}
