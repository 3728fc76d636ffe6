package kernels_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/kernels/emulator"
)

// A batchTest is a device with buffers at fixed offsets for a program that reads a
// batch and has a loss and a metric.
type batchTest struct {
	d *emulator.Device
	p *plan.Plan
}

const (
	bufferBytes = 1 << 18 // of each buffer
	batchRows   = 7
)

func (b batchTest) address(r plan.Ref) int64 { return int64(r.Buffer)*bufferBytes + r.Offset }

func (b batchTest) write(buffer plan.Buffer, v any) {
	bytes, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		panic(err)
	}
	b.d.Write(b.address(plan.Ref{Buffer: buffer}), bytes)
}

func (b batchTest) read(t *testing.T, r plan.Ref, v any) {
	t.Helper()
	bytes := make([]byte, binary.Size(v))
	if err := b.d.Read(b.address(r), bytes); err != nil {
		t.Fatal(err)
	}
	if _, err := binary.Decode(bytes, binary.LittleEndian, v); err != nil {
		t.Fatal(err)
	}
}

func (b batchTest) launch(t *testing.T, l plan.Launch) {
	t.Helper()
	if err := b.d.Launch(l, b.address); err != nil {
		t.Fatal(err)
	}
}

func (b batchTest) value(t *testing.T, name string) plan.Ref {
	t.Helper()
	r, _, ok := b.p.Value(name)
	if !ok {
		t.Fatalf("the program has no %s", name)
	}
	return r
}

// newBatchTest has rows of features and a target of those types and sizes.
func newBatchTest(t *testing.T, x, y ir.Type, xSize, ySize int) batchTest {
	t.Helper()
	b := backendtest.NewBuilder(t, "gradient", batchRows, nil)
	in := b.Input(ir.InX, x, batchRows, xSize)
	b.Input(ir.InY, y, batchRows, ySize)
	seed := b.Input(ir.InSeed, ir.Float, 1)
	b.Input(ir.InTick, ir.Int, 1)
	b.Name(b.Do(ir.Activation, ir.Attrs{}, seed)[0], ir.OutLoss)
	b.Name(b.Do(ir.Concat, ir.Attrs{}, seed, seed)[0], ir.MetricPrefix+"two")
	if x == ir.Float {
		b.Do(ir.Activation, ir.Attrs{}, in)
	}
	p, err := plan.Build(b.Done(), plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	test := batchTest{start(t), p}
	t.Cleanup(func() { test.d.Close() })
	if err := test.d.Alloc(int64(plan.Progress+1) * bufferBytes); err != nil {
		t.Fatal(err)
	}
	return test
}

// randomTable is rows of random elements, with center, scale and shift of so many
// columns.
func randomTable(r *rand.Rand, typ plan.ElementType, rows, size, scales int) data.Table {
	table := data.Table{Shape: []int{size}}
	for range rows * size {
		switch typ {
		case plan.U8:
			table.U8 = append(table.U8, byte(r.Uint32()))
		case plan.F32:
			table.F32 = append(table.F32, float32(r.NormFloat64()))
		default:
			table.I32 = append(table.I32, int32(r.Uint32()))
		}
	}
	for range scales {
		table.Scale = append(table.Scale, float32(r.NormFloat64()))
		table.Shift = append(table.Shift, float32(r.NormFloat64()))
		table.Center = append(table.Center, float32(r.IntN(256)))
	}
	return table
}

// store writes a table to a buffer, and its center, scale and shift to those.
func (b batchTest) store(t *data.Table, to plan.Buffer, norm [3]plan.Buffer) {
	switch {
	case t.U8 != nil:
		b.write(to, t.U8)
	case t.F32 != nil:
		b.write(to, t.F32)
	default:
		b.write(to, t.I32)
	}
	b.write(norm[0], t.Center)
	b.write(norm[1], t.Scale)
	b.write(norm[2], t.Shift)
}

// TestGather compares batches bit by bit with those of the CPU.
func TestGather(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		x, y           plan.ElementType
		xSize, xScales int
		ySize          int
		ints           bool // features are ids
		ordered        bool
		plain          bool // without a center
	}{
		{x: plan.U8, xSize: 784, xScales: 1, y: plan.U8, ySize: 1},
		{x: plan.F32, xSize: 13, xScales: 13, y: plan.F32, ySize: 3},
		{x: plan.I32, xSize: 1025, xScales: 0, y: plan.I32, ySize: 1, ordered: true},
		{x: plan.I32, xSize: 5, ints: true, y: plan.U8, ySize: 1},
		{x: plan.U8, xSize: 2049, xScales: 2049, y: plan.F32, ySize: 1},
		{x: plan.U8, xSize: 2049, xScales: 2049, y: plan.F32, ySize: 1, plain: true},
		{x: plan.U8, xSize: 70, xScales: 1, y: plan.I32, ySize: 1, plain: true},
	} {
		const rows, first = 29, 11
		typ := map[bool]ir.Type{false: ir.Float, true: ir.Int}
		b := newBatchTest(t, typ[c.ints], typ[c.y != plan.F32], c.xSize, c.ySize)
		x, y := randomTable(r, c.x, rows, c.xSize, c.xScales), randomTable(r, c.y, rows, c.ySize, 0)
		perm := data.NewPerm(rows, 5, 3)
		if c.ordered {
			perm = data.InOrder(rows)
		}
		control := plan.ControlBlock{Perm: perm.Key(), First: first, Done: 21}
		b.write(plan.Control, control.Bytes())
		if c.plain {
			x.Center = nil
		}
		b.store(&x, plan.DataX, [3]plan.Buffer{plan.CenterX, plan.ScaleX, plan.ShiftX})
		b.store(&y, plan.DataY, [3]plan.Buffer{plan.CenterY, plan.ScaleY, plan.ShiftY})
		b.launch(t, b.p.Gather(plan.Batch{X: plan.ColumnOf(&x), Y: plan.ColumnOf(&y), Weight: 0.25, Micro: 1, Accumulate: 3}))
		batch := make([]uint32, batchRows)
		perm.Fill(batch, first)
		checkColumn(t, b, ir.InX, &x, batch, c.ints)
		checkColumn(t, b, ir.InY, &y, batch, c.y != plan.F32)
		var seed [1]float32
		var tick [1]int32
		b.read(t, b.value(t, ir.InSeed), &seed)
		b.read(t, b.value(t, ir.InTick), &tick)
		if math.Float32bits(seed[0]) != math.Float32bits(0.25) || tick[0] != 21*3+1 {
			t.Errorf("seed is %v and tick %d, want 0.25 and 64", seed[0], tick[0])
		}
	}
}

func checkColumn(t *testing.T, b batchTest, name string, table *data.Table, rows []uint32, ints bool) {
	t.Helper()
	n := len(rows) * table.RowSize()
	if ints {
		got, want := make([]int32, n), make([]int32, n)
		b.read(t, b.value(t, name), got)
		table.GatherInt(want, rows)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		return
	}
	got, want := make([]float32, n), make([]float32, n)
	b.read(t, b.value(t, name), got)
	table.Gather(want, rows)
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s[%d] of %d: got %v, want %v", name, i, n, got[i], want[i])
		}
	}
}

// TestEndBatch takes two steps of two batches, and then one whose loss is not
// finite.
func TestEndBatch(t *testing.T) {
	b := newBatchTest(t, ir.Float, ir.Int, 3, 1)
	words := make([]byte, 0, b.p.TableBytes())
	for _, a := range b.p.Table {
		words = append(words, b.d.Encode(a, b.address)...)
	}
	b.write(plan.Tables, words)
	b.write(plan.Sums, make([]float64, 6))
	b.write(plan.Rates, []float32{0.5, 0.25, 0.125})
	up := backendtest.NewBuilder(t, "update", 0, []ir.Var{{Name: "w", Shape: []int{1}}})
	rate, step := up.Input(ir.InRate, ir.Float, 1), up.Input(ir.InStep, ir.Int, 1)
	up.Assign(ir.SGD, ir.Attrs{}, []ir.Slot{rate, step, up.Grad(0)}, []ir.Slot{up.Variable(0)})
	update, err := plan.Build(up.Done(), plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	control := plan.ControlBlock{Perm: data.InOrder(40).Key(), Done: 10}
	b.write(plan.Control, control.Bytes())
	end := func(loss, metric float32, last bool) {
		l, m := []byte(nil), []byte(nil)
		l = binary.LittleEndian.AppendUint32(l, math.Float32bits(loss))
		m = binary.LittleEndian.AppendUint32(m, math.Float32bits(metric))
		b.d.Write(b.address(b.value(t, ir.OutLoss)), l)
		b.d.Write(b.address(b.value(t, ir.MetricPrefix+"two")), append(m, m...))
		e := plan.End{Rows: batchRows, Last: last}
		if last {
			e.Update = update
		}
		b.launch(t, b.p.EndBatch(e))
	}
	check := func(want plan.ControlBlock, sums []float64) {
		t.Helper()
		raw := make([]byte, plan.ControlBytes)
		b.read(t, plan.Ref{Buffer: plan.Control}, raw)
		got := plan.ParseControl(raw)
		if math.IsNaN(float64(want.Loss)) && math.IsNaN(float64(got.Loss)) {
			got.Loss, want.Loss = 0, 0
		}
		if got != want {
			t.Errorf("control is %+v, want %+v", got, want)
		}
		gotSums := make([]float64, 6)
		b.read(t, plan.Ref{Buffer: plan.Sums}, gotSums)
		if !slices.Equal(gotSums, sums) {
			t.Errorf("sums are %v, want %v", gotSums, sums)
		}
	}
	end(2, 3, false)
	check(plan.ControlBlock{Done: 10, First: 7}, []float64{14, 3, 3, 0, 0, 0})
	end(4, 1, true)
	check(plan.ControlBlock{Done: 11, First: 14, Index: 1}, []float64{0, 0, 0, 42, 4, 4})
	var gotRate [1]float32
	var gotStep [1]int32
	b.read(t, plan.Ref{Buffer: plan.Arena, Offset: update.Values[rate].Offset}, &gotRate)
	b.read(t, plan.Ref{Buffer: plan.Arena, Offset: update.Values[step].Offset}, &gotStep)
	var progress [1]int32
	b.read(t, plan.Ref{Buffer: plan.Progress}, &progress)
	if progress[0] != 1 {
		t.Errorf("progress is %d, want 1", progress[0])
	}
	if math.Float32bits(gotRate[0]) != math.Float32bits(0.5) || gotStep[0] != 11 {
		t.Errorf("rate is %v and step %d, want 0.5 and 11", gotRate[0], gotStep[0])
	}
	end(1, 1, false)
	nan := float32(math.NaN())
	end(nan, 1, true)
	halted := plan.ControlBlock{Done: 11, First: 21, Index: 1, Halt: 1, Loss: nan}
	check(halted, []float64{7, 1, 1, 42, 4, 4})
	end(1, 1, true)
	check(halted, []float64{7, 1, 1, 42, 4, 4})
}
