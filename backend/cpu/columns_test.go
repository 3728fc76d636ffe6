package cpu

import (
	"math/rand/v2"
	"testing"

	"github.com/gespann/gespann/internal/numtest"
)

// TestAddParts adds many vectors of numbers around 10^6, which one by one are off by
// more than 10^-5 of the sum; runs of few keep their order.
func TestAddParts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 31, 32, 33, 255, 256, 257, 1000, 65537} {
		for _, s := range [][2]int{{1, 1}, {1, 3}, {3, 5}, {8, 8}, {17, 19}} {
			c, stride := s[0], s[1]
			part, want, ordered := make([]float32, (n-1)*stride+c), make([]float64, c), make([]float32, c)
			for i := range n {
				for k := range c {
					v := float32(1e6 + r.NormFloat64())
					part[i*stride+k] = v
					want[k] += float64(v)
					ordered[k] += v
				}
			}
			addParts(part, n, c, stride, chunkRun)
			numtest.Close(t, part[:c], want, numtest.Tol{Rel: 1e-6, Why: "measured: 2.5e-7; margin 4"})
			if n <= chunkRun {
				numtest.Close(t, part[:c], ordered, numtest.Tol{Why: "the order of a loop"})
			}
		}
	}
}
