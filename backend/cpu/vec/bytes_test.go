package vec

import (
	"math"
	"testing"
)

// TestFromBytes converts every byte, at lengths with and without a rest.
func TestFromBytes(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 256, 259} {
		x := make([]byte, n)
		for i := range x {
			x[i] = byte(i)
		}
		dst := make([]float32, n+1)
		dst[n] = -7
		FromBytes(dst[:n], x, 1./255, -0.5)
		for i, v := range x {
			// Both round the product and the sum.
			want := float32(float32(v)*(1./255)) + -0.5
			if math.Float32bits(dst[i]) != math.Float32bits(want) {
				t.Errorf("%d elements: byte %d is %v, want %v", n, v, dst[i], want)
			}
		}
		if dst[n] != -7 {
			t.Errorf("%d elements: the one behind them was written", n)
		}
	}
}

// TestFromBytesEach converts with a scale of each element's own, with and without
// a center.
func TestFromBytesEach(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 256, 259} {
		x, scale, shift, center := make([]byte, n), make([]float32, n), make([]float32, n), make([]float32, n)
		for i := range x {
			x[i] = byte(i * 31)
			scale[i], shift[i], center[i] = 1/float32(i+3), 0.3*float32(i), float32(i%200)
		}
		dst, centered := make([]float32, n+1), make([]float32, n+1)
		dst[n], centered[n] = -7, -7
		FromBytesEach(dst[:n], x, scale, shift)
		FromBytesCentered(centered[:n], x, scale, shift, center)
		for i, v := range x {
			product, difference := float32(v)*scale[i], float32(v)-center[i]
			if want := float32(product) + shift[i]; math.Float32bits(dst[i]) != math.Float32bits(want) {
				t.Errorf("%d elements: byte %d is %v, want %v", n, v, dst[i], want)
			}
			product = difference * scale[i]
			if want := float32(product) + shift[i]; math.Float32bits(centered[i]) != math.Float32bits(want) {
				t.Errorf("%d elements: byte %d less %v is %v, want %v", n, v, center[i], centered[i], want)
			}
		}
		if dst[n] != -7 || centered[n] != -7 {
			t.Errorf("%d elements: the one behind them was written", n)
		}
	}
}
