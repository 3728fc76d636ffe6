package gemm

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gespann/gespann/backend/cpu/pool"
	"github.com/gespann/gespann/backend/ir"
)

// TestForwardPooled compares the bits of pooled convolutions with those of Forward and a
// plain pooling behind it.
func TestForwardPooled(t *testing.T) {
	p := pool.New(2)
	t.Cleanup(p.Close)
	for _, tc := range convShapes {
		s := tc.ConvShape
		s.Groups = max(s.Groups, 1)
		rng := rand.New(rand.NewPCG(8, 8))
		nx, nw, ny := s.sizes()
		x, w, bias := random(rng, nx), random(rng, nw), random(rng, s.O)
		x.x[nx/2], x.x[nx-1] = float32(math.NaN()), float32(math.Inf(1))
		for _, path := range paths() {
			plan := newConv2D(p, path, s)
			for _, e := range []*Epilogue{{}, {Bias: bias.x, Act: ir.ReLU}} {
				if !plan.Pools() {
					continue
				}
				t.Run(tc.name+"/"+path.name, func(t *testing.T) {
					y := newGuarded(ny)
					plan.Forward(y.x, x.x, w.x, e)
					testPooled(t, plan, y.x, x.x, w.x, e)
				})
			}
		}
	}
}

func testPooled(t *testing.T, plan *Conv2D, full, x, w []float32, e *Epilogue) {
	s := &plan.shape
	h, wide := s.Win.Out(s.H, s.W)
	want, wantArg := naiveMax(full, s.B, h, wide, s.O)
	got, arg := newGuarded(len(want)), slices.Repeat([]int32{-1}, len(want)+1)
	plan.ForwardPooled(got.x, arg[:len(want)], x, w, e)
	got.intact(t, "y")
	sameBits(t, got.x, want, "y")
	if !slices.Equal(arg, append(wantArg, -1)) {
		t.Errorf("arg differs, or what is behind it")
	}
	clear(got.x)
	plan.ForwardPooled(got.x, nil, x, w, e)
	sameBits(t, got.x, want, "y without arg")
}

// naiveMax is ir.MaxPool with halving.
func naiveMax(x []float32, b, h, w, c int) (y []float32, arg []int32) {
	for i := range b * (h / 2) * (w / 2) * c {
		image, row, col, k := i/(c*(w/2)*(h/2)), i/(c*(w/2))%(h/2), i/c%(w/2), i%c
		img := x[image*h*w*c:][:h*w*c]
		first := (2*row*w+2*col)*c + k
		best := first
		for _, at := range []int{first + c, first + w*c, first + w*c + c} {
			if img[at] > img[best] || img[at] != img[at] {
				best = at
			}
		}
		y, arg = append(y, img[best]), append(arg, int32(best))
	}
	return y, arg
}
