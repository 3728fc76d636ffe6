package data

import "fmt"

// RowSize returns the number of elements of one row.
func (t *Table) RowSize() int {
	size := 1
	for _, dim := range t.Shape {
		size *= dim
	}
	return size
}

// Len returns the number of elements of all rows.
func (t *Table) Len() int { return max(len(t.U8), len(t.F32), len(t.I32), len(t.F64)) }

// Rows returns the number of rows.
func (t *Table) Rows() int {
	size := t.RowSize()
	if size == 0 {
		return 0
	}
	return t.Len() / size
}

// Gather writes the named rows to dst, one after the other, normalised:
//
//	dst[i,j] = float32(float32(value[rows[i],j] − Center[j])·Scale[j]) + Shift[j]
//
// with every difference and product rounded, so that machines with fused
// multiply-add give the same bits. The length of dst is len(rows)·RowSize. Gather
// does not allocate, and may be called concurrently. Tables of F64 have to be
// normalised first.
func (t *Table) Gather(dst []float32, rows []uint32) {
	size := t.RowSize()
	checkLen(len(dst), len(rows), size)
	switch {
	case t.U8 != nil && len(t.Scale) <= 1:
		gatherBytes(dst, t, rows, size)
	case t.U8 != nil:
		gather(dst, t.U8, t, rows, size)
	case t.F32 != nil && len(t.Scale) == 0:
		for i, row := range rows {
			copy(dst[i*size:(i+1)*size], t.F32[int(row)*size:])
		}
	case t.F32 != nil:
		gather(dst, t.F32, t, rows, size)
	default:
		gather(dst, t.I32, t, rows, size)
	}
}

// GatherInt writes the named rows of a table of integers to dst, one after the
// other, as they are. It does not allocate, and may be called concurrently.
func (t *Table) GatherInt(dst []int32, rows []uint32) {
	size := t.RowSize()
	checkLen(len(dst), len(rows), size)
	for i, row := range rows {
		out := dst[i*size : (i+1)*size]
		if t.I32 != nil {
			copy(out, t.I32[int(row)*size:])
			continue
		}
		for j, v := range t.U8[int(row)*size:][:size] {
			out[j] = int32(v)
		}
	}
}

// MinMaxInt returns the least and the greatest value of a table of integers:
// class labels, or ids for an embedding. Of no rows or of floats it is 0, 0.
func (t *Table) MinMaxInt() (lo, hi int) {
	if t.I32 != nil {
		return minMax(t.I32)
	}
	return minMax(t.U8)
}

// CheckLabels returns an error that names the first row whose class label is
// not in 0 ≤ label < classes.
func (t *Table) CheckLabels(classes int) error {
	if lo, hi := t.MinMaxInt(); lo >= 0 && hi < classes {
		return nil
	}
	for i, v := range t.I32 {
		if v < 0 || int(v) >= classes {
			return badLabel(i, int(v), classes)
		}
	}
	for i, v := range t.U8 {
		if int(v) >= classes {
			return badLabel(i, int(v), classes)
		}
	}
	return nil
}

func badLabel(row, label, classes int) error {
	return &ValueError{
		text:  fmt.Sprintf("row %d: label %d, want 0 to %d", row, label, classes-1),
		place: fmt.Sprintf("row %d: label out of range, want 0 to %d", row, classes-1),
	}
}

func checkLen(got, rows, size int) {
	if got != rows*size {
		panic(fmt.Sprintf("data: invariant: gather of %d rows of %d into %d elements", rows, size, got))
	}
}

// tableFrom is the number of elements from which looking bytes up is quicker
// than converting each.
const tableFrom = 1024

// gatherBytes is gather for bytes that share one scale.
func gatherBytes(dst []float32, t *Table, rows []uint32, size int) {
	if len(dst) < tableFrom {
		gather(dst, t.U8, t, rows, size)
		return
	}
	c, a, b := single(t.Center, 0), single(t.Scale, 1), single(t.Shift, 0)
	var value [256]float32
	for v := range value {
		value[v] = float32(float32(float32(v)-c)*a) + b
	}
	for i, row := range rows {
		in, out := t.U8[int(row)*size:][:size], dst[i*size:][:size]
		for len(in) >= 8 && len(out) >= 8 { // fewer bounds checks
			a, b := (*[8]byte)(in), (*[8]float32)(out)
			b[0], b[1], b[2], b[3] = value[a[0]], value[a[1]], value[a[2]], value[a[3]]
			b[4], b[5], b[6], b[7] = value[a[4]], value[a[5]], value[a[6]], value[a[7]]
			in, out = in[8:], out[8:]
		}
		for j, v := range in {
			out[j] = value[v]
		}
	}
}

// gather converts the rows of src, the elements of t, with one scale, one per
// column, or none.
func gather[T byte | float32 | int32](dst []float32, src []T, t *Table, rows []uint32, size int) {
	switch {
	case len(t.Scale) > 1 && len(t.Center) > 1:
		gatherCentered(dst, src, t, rows, size)
		return
	case len(t.Scale) > 1:
		for i, row := range rows {
			out, scale, shift := dst[i*size:(i+1)*size], t.Scale[:size], t.Shift[:size]
			for j, v := range src[int(row)*size:][:size] {
				out[j] = float32(float32(v)*scale[j]) + shift[j]
			}
		}
		return
	}
	c, a, b := single(t.Center, 0), single(t.Scale, 1), single(t.Shift, 0)
	for i, row := range rows {
		out := dst[i*size : (i+1)*size]
		for j, v := range src[int(row)*size:][:size] {
			out[j] = float32(float32(float32(v)-c)*a) + b
		}
	}
}

// gatherCentered is gather with a center, a scale and a shift per column.
func gatherCentered[T byte | float32 | int32](
	dst []float32, src []T, t *Table, rows []uint32, size int,
) {
	center, scale, shift := t.Center[:size], t.Scale[:size], t.Shift[:size]
	for i, row := range rows {
		out := dst[i*size:][:size]
		for j, v := range src[int(row)*size:][:size] {
			out[j] = float32(float32(float32(v)-center[j])*scale[j]) + shift[j]
		}
	}
}

func single(v []float32, none float32) float32 {
	if len(v) == 0 {
		return none
	}
	return v[0]
}

func minMax[T byte | int32](v []T) (lo, hi int) {
	if len(v) == 0 {
		return 0, 0
	}
	least, most := v[0], v[0]
	for _, e := range v {
		least, most = min(least, e), max(most, e)
	}
	return int(least), int(most)
}
