package source

import (
	"fmt"
	"math"
	"slices"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model/spec"
)

// The orders whose first rows are set aside, as epochs of data.NewPerm: below 0,
// where no epoch of training is.
const (
	validationOrder = -1
	testOrder       = -2
)

// split sets rows aside: a fraction of all for the test, where the source has no
// test part, then a fraction of the rest for validation. Which rows depends on
// d.SplitSeed and the number of rows only; they stay in the order of the file.
func split(r *raw, d spec.Data) error {
	train := &r.parts[data.Train]
	if d.TestSplit > 0 {
		if r.parts[data.Test].Rows > 0 {
			return fmt.Errorf("data.test_split: got %v, but the source has its own test part of %d rows",
				d.TestSplit, r.parts[data.Test].Rows)
		}
		held, err := heldOut(train.Rows, d.TestSplit, d.SplitSeed, testOrder)
		if err != nil {
			return fmt.Errorf("data.test_split: %w", err)
		}
		r.parts[data.Test] = setAside(train, held)
	}
	if d.ValidationSplit > 0 {
		held, err := heldOut(train.Rows, d.ValidationSplit, d.SplitSeed, validationOrder)
		if err != nil {
			return fmt.Errorf("data.validation_split: %w", err)
		}
		r.parts[data.Validation] = setAside(train, held)
	}
	return nil
}

// heldOut returns the rows to set aside, ascending.
func heldOut(rows int, fraction float64, seed uint64, order int) ([]uint32, error) {
	count := int(math.Round(float64(rows) * fraction))
	if count == 0 || count == rows {
		return nil, fmt.Errorf("got %v, which of %d rows sets %d aside and leaves %d, "+
			"want at least 1 each", fraction, rows, count, rows-count)
	}
	held := make([]uint32, count)
	data.NewPerm(rows, seed, order).Fill(held, 0)
	slices.Sort(held)
	return held, nil
}

// setAside moves the held rows of p into a new part. What p keeps moves together
// in place, so that memory is needed for the held rows only.
func setAside(p *data.Part, held []uint32) data.Part {
	out := data.Part{Rows: len(held)}
	p.X, out.X = cutTable(p.X, held)
	p.Y, out.Y = cutTable(p.Y, held)
	p.Rows -= len(held)
	return out
}

func cutTable(t data.Table, held []uint32) (kept, out data.Table) {
	size := t.RowSize()
	kept, out = t, t
	kept.U8, out.U8 = cut(t.U8, size, held)
	kept.F32, out.F32 = cut(t.F32, size, held)
	kept.F64, out.F64 = cut(t.F64, size, held)
	kept.I32, out.I32 = cut(t.I32, size, held)
	return kept, out
}

// cut moves the held rows of v into a new slice; held ascends.
func cut[T any](v []T, size int, held []uint32) (kept, out []T) {
	if v == nil {
		return nil, nil
	}
	out = make([]T, 0, len(held)*size)
	to := int(held[0]) * size
	for i, row := range held {
		from, end := int(row)*size, len(v)
		if i+1 < len(held) {
			end = int(held[i+1]) * size
		}
		out = append(out, v[from:from+size]...)
		to += copy(v[to:], v[from+size:end])
	}
	return v[:to], out
}
