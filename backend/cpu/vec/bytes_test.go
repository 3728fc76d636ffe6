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
