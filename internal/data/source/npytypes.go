package source

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// order is short for what every line of the table below needs.
type order = binary.ByteOrder

// An npyType is how the elements of one dtype are read.
type npyType struct {
	width int
	// One of these is set.
	bytes  func(b byte) byte
	ints   func(b []byte, o order) float64 // exact up to 2^53, as NumPy's are in float64
	floats func(b []byte, o order) float64
}

var npyTypes = map[string]npyType{
	"b1": {width: 1, bytes: func(b byte) byte { return min(b, 1) }},
	"u1": {width: 1, bytes: func(b byte) byte { return b }},
	"i1": {width: 1, ints: func(b []byte, _ order) float64 { return float64(int8(b[0])) }},
	"u2": {width: 2, ints: func(b []byte, o order) float64 { return float64(o.Uint16(b)) }},
	"i2": {width: 2, ints: func(b []byte, o order) float64 { return float64(int16(o.Uint16(b))) }},
	"u4": {width: 4, ints: func(b []byte, o order) float64 { return float64(o.Uint32(b)) }},
	"i4": {width: 4, ints: func(b []byte, o order) float64 { return float64(int32(o.Uint32(b))) }},
	"u8": {width: 8, ints: func(b []byte, o order) float64 { return float64(o.Uint64(b)) }},
	"i8": {width: 8, ints: func(b []byte, o order) float64 { return float64(int64(o.Uint64(b))) }},
	"f2": {width: 2, floats: func(b []byte, o order) float64 { return half(o.Uint16(b)) }},
	"f4": {width: 4, floats: func(b []byte, o order) float64 {
		return float64(math.Float32frombits(o.Uint32(b)))
	}},
	"f8": {width: 8, floats: func(b []byte, o order) float64 {
		return math.Float64frombits(o.Uint64(b))
	}},
}

// half returns a float16: a sign, 5 bits of exponent, 10 of fraction.
//
// Source: IEEE 754-2008, binary16.
func half(bits uint16) float64 {
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)/(1<<10)
	v := math.Ldexp(1+fraction, exponent-15)
	switch {
	case exponent == 0:
		v = math.Ldexp(fraction, -14)
	case exponent == 0x1f && fraction == 0:
		v = math.Inf(1)
	case exponent == 0x1f:
		v = math.NaN()
	}
	return math.Copysign(v, 1-2*float64(bits>>15))
}

// noNumbers is the error for elements that are not read, with the way out in NumPy.
func noNumbers(descr string) error {
	hint := "in Python: numpy.save(\"x.npy\", x.astype(numpy.float32))"
	what := ""
	switch kind := strings.TrimLeft(descr, "<>|="); {
	case strings.HasPrefix(kind, "U"), strings.HasPrefix(kind, "S"), strings.HasPrefix(kind, "a"):
		what = " is text"
		hint = "in Python, for class labels: numpy.save(\"y.npy\", numpy.unique(y, return_inverse=True)[1]); " +
			"for numbers: x.astype(numpy.float32)"
	case strings.HasPrefix(kind, "M"), strings.HasPrefix(kind, "m"):
		what = " is dates or times"
		hint = "in Python: numpy.save(\"x.npy\", x.astype(numpy.int64)), and set data.normalize: standard"
	case strings.HasPrefix(kind, "c"):
		what = " is complex numbers"
		hint = "in Python: numpy.save(\"x.npy\", numpy.stack([x.real, x.imag], -1))"
	}
	return fmt.Errorf("element type %q%s, want one of b1, u1, i1, u2, i2, u4, i4, u8, i8, f2, f4, f8\nhint: %s",
		descr, what, hint)
}

// reader returns a function that appends converted elements to a. Floats must be
// finite, as float32 too.
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
			t.addInts(a, b, count, o)
			return nil
		}
	case t.width <= 4:
		a.f32 = room[float32](in, count, t.width)
		return func(b []byte) error {
			a.f32 = grow(a.f32, len(b)/t.width, count)
			for ; len(b) > 0; b = b[t.width:] {
				v, err := t.finite(b, o, len(a.f32))
				if err != nil {
					return err
				}
				a.f32 = append(a.f32, float32(v))
			}
			return nil
		}
	}
	a.f64 = room[float64](in, count, t.width)
	return func(b []byte) error {
		a.f64 = grow(a.f64, len(b)/t.width, count)
		for ; len(b) > 0; b = b[t.width:] {
			v, err := t.finite(b, o, len(a.f64))
			if err != nil {
				return err
			}
			a.f64 = append(a.f64, v)
		}
		return nil
	}
}

// finite returns a float, which is element i.
func (t npyType) finite(b []byte, o order, i int) (float64, error) {
	v := t.floats(b, o)
	if math.IsNaN(v) || math.IsInf(float64(float32(v)), 0) {
		return 0, fmt.Errorf("element %d is %s, want a finite float32", i, clip(fmt.Sprint(v)))
	}
	return v, nil
}

// addInts appends integers to i32, until one does not fit: then all go to f64.
func (t npyType) addInts(a *array, b []byte, count int64, o order) {
	if a.f64 == nil {
		a.i32 = grow(a.i32, len(b)/t.width, count)
	}
	for ; len(b) > 0; b = b[t.width:] {
		v := t.ints(b, o)
		if t.width == 8 && math.Abs(v) >= 1<<53 && a.lost == "" {
			a.noteLost(o.Uint64(b), v, max(len(a.i32), len(a.f64)))
		}
		if a.f64 == nil && v != float64(int32(v)) {
			a.f64 = make([]float64, len(a.i32), cap(a.i32))
			for i, e := range a.i32 {
				a.f64[i] = float64(e)
			}
			a.i32 = nil
		}
		if a.f64 != nil {
			a.f64 = append(grow(a.f64, 1, count), v)
		} else {
			a.i32 = append(a.i32, int32(v))
		}
	}
}

// noteLost remembers an integer of 64 bits that v, its float64, is not.
func (a *array) noteLost(bits uint64, v float64, i int) {
	words := strconv.FormatUint(bits, 10)
	if a.dtype[len(a.dtype)-2] == 'i' {
		words = strconv.FormatInt(int64(bits), 10)
	}
	if !has64(words, v) {
		a.lost = fmt.Sprintf("element %d: integer %s becomes %s as float64", i, clip(words), clip(fmt.Sprintf("%.0f", v)))
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
