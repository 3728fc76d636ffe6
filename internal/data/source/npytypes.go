package source

import (
	"encoding/binary"
	"fmt"
	"math"
)

// order is short for what every line of the table below needs.
type order = binary.ByteOrder

// An npyType is how the elements of one dtype are read.
type npyType struct {
	width int
	// One of these is set.
	bytes  func(b byte) byte
	ints   func(b []byte, o order) int64
	floats func(b []byte, o order) float64
}

var npyTypes = map[string]npyType{
	"b1": {width: 1, bytes: func(b byte) byte { return min(b, 1) }},
	"u1": {width: 1, bytes: func(b byte) byte { return b }},
	"i1": {width: 1, ints: func(b []byte, _ order) int64 { return int64(int8(b[0])) }},
	"u2": {width: 2, ints: func(b []byte, o order) int64 { return int64(o.Uint16(b)) }},
	"i2": {width: 2, ints: func(b []byte, o order) int64 { return int64(int16(o.Uint16(b))) }},
	"u4": {width: 4, ints: func(b []byte, o order) int64 { return int64(o.Uint32(b)) }},
	"i4": {width: 4, ints: func(b []byte, o order) int64 { return int64(int32(o.Uint32(b))) }},
	"u8": {width: 8, ints: func(b []byte, o order) int64 {
		return int64(min(o.Uint64(b), math.MaxInt64))
	}},
	"i8": {width: 8, ints: func(b []byte, o order) int64 { return int64(o.Uint64(b)) }},
	"f4": {width: 4, floats: func(b []byte, o order) float64 {
		return float64(math.Float32frombits(o.Uint32(b)))
	}},
	"f8": {width: 8, floats: func(b []byte, o order) float64 {
		return math.Float64frombits(o.Uint64(b))
	}},
}

// reader returns a function that appends converted elements to a. Integers must
// fit an int32, floats a finite float32.
func (t npyType) reader(a *array, in *input, count int64, o order) func([]byte) error {
	switch {
	case t.bytes != nil:
		a.u8 = room[byte](in, count, 1)
		return func(b []byte) error {
			a.u8 = grow(a.u8, len(b), count)
			for _, v := range b {
				a.u8 = append(a.u8, t.bytes(v))
			}
			return nil
		}
	case t.ints != nil:
		a.i32 = room[int32](in, count, t.width)
		return func(b []byte) error {
			a.i32 = grow(a.i32, len(b)/t.width, count)
			for ; len(b) > 0; b = b[t.width:] {
				v := t.ints(b, o)
				if v != int64(int32(v)) {
					return fmt.Errorf("element %d is %d, want at most 32 bits", len(a.i32), v)
				}
				a.i32 = append(a.i32, int32(v))
			}
			return nil
		}
	}
	a.f32 = room[float32](in, count, t.width)
	return func(b []byte) error {
		a.f32 = grow(a.f32, len(b)/t.width, count)
		for ; len(b) > 0; b = b[t.width:] {
			v := t.floats(b, o)
			if f := float32(v); math.IsNaN(v) || math.IsInf(float64(f), 0) {
				return fmt.Errorf("element %d is %v, want a finite float32", len(a.f32), v)
			}
			a.f32 = append(a.f32, float32(v))
		}
		return nil
	}
}

// rowMajor turns the column-major elements of an array round.
func rowMajor[T any](src []T, shape []int64) []T {
	if src == nil {
		return nil
	}
	strides := make([]int64, len(shape)) // row-major
	stride := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = stride
		stride *= shape[i]
	}
	dst := make([]T, len(src))
	index := make([]int64, len(shape))
	to := int64(0)
	for _, v := range src {
		dst[to] = v
		for axis := range index {
			index[axis]++
			to += strides[axis]
			if index[axis] < shape[axis] {
				break
			}
			to -= index[axis] * strides[axis]
			index[axis] = 0
		}
	}
	return dst
}
