package cpu

import (
	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/internal/data"
)

// Gather writes the named rows of t to dst, as data.Table.Gather does: bytes with at
// most one scale in whole vectors.
func (e *executor) Gather(dst []float32, t *data.Table, rows []uint32) {
	size := t.RowSize()
	if t.U8 == nil || len(t.Scale) > 1 || len(dst) != len(rows)*size {
		t.Gather(dst, rows)
		return
	}
	scale, shift := float32(1), float32(0)
	if len(t.Scale) > 0 {
		scale = t.Scale[0]
	}
	if len(t.Shift) > 0 {
		shift = t.Shift[0]
	}
	for i, row := range rows {
		vec.FromBytes(dst[i*size:(i+1)*size], t.U8[int(row)*size:][:size], scale, shift)
	}
}
