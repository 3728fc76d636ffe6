package source

import (
	"fmt"
	"math"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model/spec"
)

// learnScale fits the normalisation to the training rows.
func learnScale(r *raw, d spec.Data, opt Options, prep *data.Prep) error {
	x := &r.parts[data.Train].X
	if d.Normalize == "" || d.Normalize == "none" {
		return nil
	}
	if opt.IntFeatures {
		return fmt.Errorf("data.normalize: %s does not apply to integer ids for an embedding",
			d.Normalize)
	}
	if d.Normalize == "scale" && x.U8 != nil {
		prep.Scale, prep.Shift = []float32{1 / r.byteMax}, []float32{0}
		return nil
	}
	cols := measure(x)
	size := len(cols)
	prep.Scale, prep.Shift = make([]float32, size), make([]float32, size)
	for j, c := range cols {
		var scale, shift float64
		if d.Normalize == "scale" {
			scale, shift = affine(c.lo, c.hi-c.lo)
		} else {
			scale, shift = affine(c.mean, math.Sqrt(c.m2/float64(x.Rows())))
		}
		if r.asIs != nil && r.asIs[j] {
			scale, shift = 1, 0
		}
		prep.Scale[j], prep.Shift[j] = float32(scale), float32(shift)
	}
	return nil
}

// affine returns scale and shift with value·scale + shift = (value - from)/width.
// A column of one value has no width; it becomes 0.
func affine(from, width float64) (scale, shift float64) {
	if width == 0 {
		width = 1
	}
	return 1 / width, -from / width
}

// A column sums up the training values of one feature.
type column struct {
	lo, hi, mean float64
	m2           float64 // Σ (value - mean)²
}

func measure(x *data.Table) []column {
	cols := make([]column, x.RowSize())
	switch {
	case x.U8 != nil:
		add(cols, x.U8)
	case x.F32 != nil:
		add(cols, x.F32)
	default:
		add(cols, x.I32)
	}
	return cols
}

// add measures rows by Welford's recurrence, whose m2 is exactly 0 for a column
// of one value:
//
//	mean' = mean + (v - mean)/k;  m2' = m2 + (v - mean)·(v - mean')
//
// Source: B. P. Welford, Technometrics 4 (1962).
func add[T byte | float32 | int32](cols []column, values []T) {
	for row := 0; row*len(cols) < len(values); row++ {
		weight := 1 / float64(row+1)
		for j, v := range values[row*len(cols):][:len(cols)] {
			c, v := &cols[j], float64(v)
			if row == 0 {
				c.lo, c.hi = v, v
			}
			c.lo, c.hi = min(c.lo, v), max(c.hi, v)
			d := v - c.mean
			c.mean += d * weight
			c.m2 += d * (v - c.mean)
		}
	}
}
