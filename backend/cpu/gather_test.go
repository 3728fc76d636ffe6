package cpu

import (
	"fmt"
	"math"
	"testing"

	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/internal/data"
)

// TestGather compares rows with those of data.Table, bit by bit.
func TestGather(t *testing.T) {
	const rows, size = 300, 37
	bytes, floats := make([]byte, rows*size), make([]float32, rows*size)
	scales, shifts, centers := make([]float32, size), make([]float32, size), make([]float32, size)
	for i := range bytes {
		bytes[i], floats[i] = byte(i*31), float32(i)*0.37
		scales[i%size], shifts[i%size] = 0.01*float32(i%size), 0.3
		centers[i%size] = float32(i % size * 5)
	}
	few, many := []uint32{7, 299, 0, 7, 123}, make([]uint32, serial/size+9)
	for i := range many {
		many[i] = uint32(i*i) % rows
	}
	for name, table := range map[string]data.Table{
		"bytes":               {U8: bytes},
		"scaled":              {U8: bytes, Scale: []float32{1. / 255}, Shift: []float32{-0.3}},
		"scaled by columns":   {U8: bytes, Scale: scales, Shift: shifts},
		"centered by columns": {U8: bytes, Center: centers, Scale: scales, Shift: shifts},
		"centered":            {U8: bytes, Center: []float32{77}, Scale: []float32{1. / 3}, Shift: []float32{-0.3}},
		"floats":              {F32: floats},
		"scaled floats":       {F32: floats, Scale: []float32{0.5}, Shift: []float32{1}},
		"integers":            {I32: host.Ints(floats), Scale: []float32{0.5}, Shift: []float32{0}},
	} {
		table.Shape = []int{size}
		for _, threads := range []int{1, 3} {
			for _, names := range [][]uint32{nil, few, many} {
				testGather(t, fmt.Sprintf("%s, %d rows, %d threads", name, len(names), threads), threads, &table, names)
			}
		}
	}
}

func testGather(t *testing.T, name string, threads int, table *data.Table, names []uint32) {
	ex := New(threads)
	t.Cleanup(ex.Close)
	gather := ex.(host.Gatherer).Gather
	n := len(names) * table.RowSize()
	got, want := make([]float32, n), make([]float32, n)
	gather(got, table, names)
	table.Gather(want, names)
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %v, want the bits of %v", name, i, got[i], want[i])
		}
	}
	if allocs := testing.AllocsPerRun(2, func() { gather(got, table, names) }); allocs != 0 {
		t.Errorf("%s: allocates %v times, want 0", name, allocs)
	}
}
