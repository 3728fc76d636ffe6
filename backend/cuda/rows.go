package cuda

import (
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/internal/data"
)

// A part is the rows of a split as kernels find them.
type part struct {
	x, y column
}

// A column is features or targets: what they look like, and where they are; data
// is 0 when rows are streamed.
type column struct {
	plan.Column
	table                      *data.Table
	data, center, scale, shift address
}

// A stage is memory for a chunk of rows, in the order of the batches.
type stage struct {
	x, y   address
	pinned []byte
}

// loadData brings normalisation and rows to the device, or allocates the stages.
func (s *session) loadData() error {
	if s.job.Data == nil {
		return nil
	}
	stageX, stageY := int64(0), int64(0)
	for i := range s.parts {
		from := &s.job.Data.Parts[i]
		if from.Rows == 0 {
			continue
		}
		var err error
		if s.parts[i].x, err = s.column(&from.X, !s.streamed); err != nil {
			return err
		}
		if s.parts[i].y, err = s.column(&from.Y, !s.streamed); err != nil {
			return err
		}
		rows := s.planner.stageRows(from, s.stepRows())
		stageX = max(stageX, tableBytes(&from.X, rows))
		stageY = max(stageY, tableBytes(&from.Y, rows))
	}
	if !s.streamed {
		return s.dev.Sync()
	}
	for i := range s.stages {
		st := &s.stages[i]
		var err error
		if st.x, err = s.zeros(stageX); err != nil {
			return err
		}
		if st.y, err = s.zeros(stageY); err != nil {
			return err
		}
		if st.pinned, err = s.dev.Pinned(int(stageX + stageY)); err != nil {
			return err
		}
	}
	return s.dev.Sync()
}

// stepRows is the number of rows of a whole step.
func (s *session) stepRows() int { return s.job.BatchSize * s.job.Accumulate }

// column brings a table to the device, its rows only when they are to stay.
func (s *session) column(t *data.Table, resident bool) (c column, err error) {
	c = column{Column: plan.ColumnOf(t), table: t}
	put := func(b []byte) (address, error) {
		a, err := s.zeros(int64(len(b)))
		if err != nil || len(b) == 0 {
			return a, err
		}
		return a, s.dev.Upload(a, b)
	}
	if c.center, err = put(bytesOf(t.Center)); err != nil {
		return c, err
	}
	if c.scale, err = put(bytesOf(t.Scale)); err != nil {
		return c, err
	}
	if c.shift, err = put(bytesOf(t.Shift)); err != nil {
		return c, err
	}
	if resident {
		c.data, err = put(stored(t, 0, t.Rows()))
	}
	return c, err
}

// stored returns the memory of rows of a table.
func stored(t *data.Table, first, last int) []byte {
	size := t.RowSize()
	switch {
	case t.U8 != nil:
		return t.U8[first*size : last*size]
	case t.F32 != nil:
		return bytesOf(t.F32[first*size : last*size])
	default:
		return bytesOf(t.I32[first*size : last*size])
	}
}

// collect copies rows in the order of the positions from first on.
func collect(dst []byte, t *data.Table, order data.Perm, first, last int) {
	size := int(rowBytes(t))
	all := stored(t, 0, t.Rows())
	for i := first; i < last; i++ {
		copy(dst[(i-first)*size:], all[order.At(i)*size:][:size])
	}
}

// fill brings the rows at positions first ≤ i < last of an order to a stage. The
// stage must be free.
func (s *session) fill(st *stage, split data.Split, order data.Perm, first, last int) error {
	from := &s.job.Data.Parts[split]
	sizeX := (last - first) * int(rowBytes(&from.X))
	sizeY := (last - first) * int(rowBytes(&from.Y))
	x, y := st.pinned[:sizeX], st.pinned[sizeX:][:sizeY]
	collect(x, &from.X, order, first, last)
	collect(y, &from.Y, order, first, last)
	if err := s.dev.Upload(st.x, x); err != nil {
		return err
	}
	return s.dev.Upload(st.y, y)
}

// bind returns where a program finds everything when it reads a part of the data
// from a stage, or with stage -1 from the device's copy.
func (s *session) bind(p *program, split data.Split, stage int) *places {
	at := s.at
	part := &s.parts[split]
	at.base[plan.Tables] = p.table
	at.base[plan.DataX], at.base[plan.DataY] = part.x.data, part.y.data
	at.norm(&part.x, plan.CenterX, plan.ScaleX, plan.ShiftX)
	at.norm(&part.y, plan.CenterY, plan.ScaleY, plan.ShiftY)
	if stage >= 0 {
		at.base[plan.DataX], at.base[plan.DataY] = s.stages[stage].x, s.stages[stage].y
	}
	return &at
}

// norm notes where the normalisation of a column is.
func (p *places) norm(c *column, center, scale, shift plan.Buffer) {
	p.base[center], p.base[scale], p.base[shift] = c.center, c.scale, c.shift
}
