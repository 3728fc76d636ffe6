package data

import (
	"fmt"
	"math"
	"slices"

	"github.com/gespann/gespann/internal/memlimit"
)

// Normalize makes a table of features what a model sees: rows of the shape that
// was trained on, (value − From)/Width. It computes in float64 and rounds once,
//
//	F32[i,j] = float32((value[i,j] − From[j]) / Width[j])
//
// for all but bytes, which stay bytes and get Center, Scale and Shift, and ids,
// which stay as they are. Numbers may be changed in place. An error names the
// row, from 0, and the column.
func (p *Prep) Normalize(t *Table) error {
	t.Shape = p.Shape
	if p.Bytes && !p.Ints {
		t.toBytes()
	}
	switch {
	case p.Ints:
		return nil
	case t.U8 != nil && p.normalizeBytes(t):
		return nil
	case t.U8 != nil:
		return apply(p, t, t.U8)
	case t.F64 != nil:
		return apply(p, t, t.F64)
	case t.I32 != nil:
		return apply(p, t, t.I32)
	case t.F32 != nil && p.Normalizes():
		return apply(p, t, t.F32)
	}
	return nil
}

// Encode is Normalize for a table with one number for each of p.CSV.Columns, in
// F64: those of a column with categories are which of them, and become one-hot.
func (p *Prep) Encode(t *Table) error {
	if p.CSV == nil || p.Ints || t.F64 == nil {
		return p.Normalize(t)
	}
	cells := t.F64
	width := (&Table{Shape: p.Shape}).RowSize()
	rows := len(cells) / len(p.CSV.Columns)
	if err := memlimit.Check(4 * int64(rows) * int64(width)); err != nil {
		return fmt.Errorf("%d rows of %d numbers, with the categories of %d columns: %w", rows, width, len(p.CSV.Columns), err)
	}
	out := make([]float32, rows*width)
	at, row := 0, 0 // place in out
	for len(cells) > 0 {
		for j, c := range p.CSV.Columns {
			if n := len(c.Categories); n > 0 {
				out[at+int(cells[0])] = 1
				at += n
			} else {
				var err error
				if out[at], err = p.number(cells[0], at-row*width); err != nil {
					return &ValueError{
						text:  fmt.Sprintf("row %d: column %q: %v", row, c.Name, err),
						place: fmt.Sprintf("row %d: feature %d: %s", row, j, notFinite),
					}
				}
				at++
			}
			cells = cells[1:]
		}
		row++
	}
	t.Shape, t.F32, t.F64 = p.Shape, out, nil
	return nil
}

// apply normalises the elements of t, which are values.
func apply[T float64 | float32 | int32 | byte](p *Prep, t *Table, values []T) error {
	size := t.RowSize()
	if t.F32 == nil {
		if err := memlimit.Check(4 * int64(len(values))); err != nil {
			return fmt.Errorf("%d rows of %d numbers: %w", len(values)/size, size, err)
		}
		t.F32 = make([]float32, len(values))
	}
	for i, v := range values {
		var err error
		if t.F32[i], err = p.number(float64(v), i%size); err != nil {
			return &ValueError{
				text:  fmt.Sprintf("row %d: column %d: %v", i/size, i%size, err),
				place: fmt.Sprintf("row %d: column %d: %s", i/size, i%size, notFinite),
			}
		}
	}
	t.U8, t.I32, t.F64 = nil, nil, nil
	return nil
}

// number normalises a number of column j of the flattened row.
func (p *Prep) number(v float64, j int) (float32, error) {
	out := float32(v)
	switch {
	case len(p.From) > 0:
		out = float32((v - pick(p.From, j)) / pick(p.Width, j))
	case len(p.Scale) > 0:
		out = float32(float32(v)*pick(p.Scale, j)) + pick(p.Shift, j)
	}
	if math.IsInf(float64(out), 0) || out != out {
		return 0, fmt.Errorf("%v becomes %v when it is normalised, want a finite number", v, out)
	}
	return out, nil
}

// notFinite is what is wrong with a number that number refuses.
const notFinite = "becomes infinite when it is normalised, want a finite number"

// pick returns the element of a column, of one for all or one for each.
func pick[T float32 | float64](v []T, j int) T {
	if len(v) == 1 {
		return v[0]
	}
	return v[j]
}

// uncentered is how many deviations from 0 the mean of bytes may be without a
// center. With u = 2⁻²⁴, F = From, W = Width and y = (v − F)/W, v·fl(1/W) + fl(−F/W)
// in float32 is off by at most
//
//	2u|v|/W + u|F|/W + u|y| ≤ u(3|y| + 3|F|/W) ≤ 15u·max(1,|y|) < 1e-6
//
// for |F| ≤ 4W. Beyond, the center is the integer c nearest to F: v − c is exact, and
// since |c − F| ≤ ½, no product is longer than 2|y|.
const uncentered = 4

// normalizeBytes gives a table of bytes the center, scale and shift that Gather
// needs to be right within 1e-6·max(1, |result|). It does nothing, and returns
// false, when these are beyond float32.
func (p *Prep) normalizeBytes(t *Table) bool {
	n := len(p.From)
	if n == 0 {
		t.Center, t.Scale, t.Shift = nil, slices.Clone(p.Scale), slices.Clone(p.Shift)
		return true
	}
	centers := 0
	center, scale, shift := make([]float32, n), make([]float32, n), make([]float32, n)
	for j, from := range p.From {
		width := p.Width[j]
		if math.Abs(from) > uncentered*width {
			center[j] = float32(math.Round(from))
			centers++
		}
		scale[j] = float32(1 / width)
		shift[j] = float32((float64(center[j]) - from) / width)
		if math.IsInf(float64(scale[j]), 0) || math.IsInf(float64(shift[j]), 0) {
			return false
		}
	}
	if centers == 0 {
		center = nil
	}
	t.Center, t.Scale, t.Shift = center, scale, shift
	return true
}

// toBytes makes a table of numbers that all are whole and from 0 to 255 one of
// bytes, so that they are normalised to the bits of the bytes that were trained on.
func (t *Table) toBytes() {
	switch {
	case t.F64 != nil:
		t.U8 = bytesFrom(t.F64)
	case t.F32 != nil:
		t.U8 = bytesFrom(t.F32)
	case t.I32 != nil:
		t.U8 = bytesFrom(t.I32)
	}
	if t.U8 != nil {
		t.F64, t.F32, t.I32 = nil, nil, nil
	}
}

// bytesFrom returns the values as bytes, or nil when they are not.
func bytesFrom[T float64 | float32 | int32](values []T) []byte {
	for _, v := range values {
		if !(v >= 0 && v <= math.MaxUint8) || T(byte(v)) != v {
			return nil
		}
	}
	out := make([]byte, len(values))
	for i, v := range values {
		out[i] = byte(v)
	}
	return out
}
