package cpu

import (
	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/internal/data"
)

// A gathering is a batch that is being gathered.
type gathering struct {
	dst  []float32
	t    *data.Table
	rows []uint32
	size int // of a row
}

// Gather writes the named rows of t to dst, as data.Table.Gather does.
func (e *executor) Gather(dst []float32, t *data.Table, rows []uint32) {
	g := gathering{dst, t, rows, t.RowSize()}
	switch {
	case len(dst) != len(rows)*g.size:
		t.Gather(dst, rows) // which panics
	case len(dst) < serial:
		g.part(0, len(rows))
	default:
		e.batch = g
		e.pool.Run(ceilDiv(len(rows), g.perChunk()), e.gatherChunk)
		e.batch = gathering{}
	}
}

// perChunk is the number of rows of a chunk.
func (g *gathering) perChunk() int { return rowsPer(grain, g.size) }

// chunk gathers the rows of chunk i.
func (g *gathering) chunk(i int) {
	per := g.perChunk()
	g.part(i*per, min((i+1)*per, len(g.rows)))
}

// part gathers rows lo ≤ i < hi, all of which it asks for first.
func (g *gathering) part(lo, hi int) {
	t, rows, dst := g.t, g.rows[lo:hi], g.dst[lo*g.size:hi*g.size]
	for _, row := range rows {
		switch at := int(row) * g.size; {
		case t.U8 != nil:
			vec.Ask(t.U8[at:][:g.size])
		case t.F32 != nil:
			vec.Ask(t.F32[at:][:g.size])
		default:
			vec.Ask(t.I32[at:][:g.size])
		}
	}
	if t.U8 == nil || len(t.Center) == 1 {
		t.Gather(dst, rows)
		return
	}
	for i, row := range rows {
		fromBytes(dst[i*g.size:(i+1)*g.size], t.U8[int(row)*g.size:][:g.size], t)
	}
}

// fromBytes converts a row of t, whose scale is one for all columns, one for each,
// or none.
func fromBytes(dst []float32, row []byte, t *data.Table) {
	switch {
	case len(t.Scale) > 1 && t.Center != nil:
		vec.FromBytesCentered(dst, row, t.Scale, t.Shift, t.Center)
	case len(t.Scale) > 1:
		vec.FromBytesEach(dst, row, t.Scale, t.Shift)
	case len(t.Scale) == 1:
		vec.FromBytes(dst, row, t.Scale[0], t.Shift[0])
	default:
		vec.FromBytes(dst, row, 1, 0)
	}
}
