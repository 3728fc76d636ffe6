package cpu

import (
	"math"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cpu/gemm"
	"github.com/gespann/gespann/backend/ir"
)

// TestRoundedFactors checks products [1,1] of one term in bf16: ties go to even, what is
// beyond the largest bfloat16 is infinite, and numbers below the least normal one are kept.
func TestRoundedFactors(t *testing.T) {
	inf := float32(math.Inf(1))
	b := &builder{t: t}
	x, w := b.float(1, 1), b.float(1, 1)
	y := b.one(ir.MatMul, ir.Attrs{}, x, w)
	s := b.memory(1)
	r := b.compileOn(s, lowExecutors()["float32"](1))
	for _, tc := range []struct{ a, b, want float32 }{
		{1 + 0x1p-7, 1, 1 + 0x1p-7},
		{1 + 0x1p-8, 1, 1},
		{1 + 3*0x1p-8, 1, 1 + 0x1p-6},
		{1 + 0x1p-8 + 0x1p-20, 2, 2 + 0x1p-6},
		{math.MaxFloat32, 1, inf},
		{-inf, 2, -inf},
		{0x1p-130, 0x1p10, 0x1p-120},
		{0x1p-70, 0x1p-70, 0x1p-140},
		{0x1.01p-133, 1, 0x1p-133},
	} {
		s.F[x][0], s.F[w][0] = tc.a, tc.b
		if r.Run(); s.F[y][0] != tc.want {
			t.Errorf("%x · %x = %x, want %x", tc.a, tc.b, s.F[y][0], tc.want)
		}
	}
	for _, bad := range [][2]float32{{inf, 0}, {float32(math.NaN()), 1}, {1, math.Float32frombits(0x7f800001)}} {
		s.F[x][0], s.F[w][0] = bad[0], bad[1]
		if r.Run(); s.F[y][0] == s.F[y][0] {
			t.Errorf("%v · %v = %v, want NaN", bad[0], bad[1], s.F[y][0])
		}
	}
}

// TestWantsPairs checks that pairs are for where they are faster, and not for workers that
// must agree with others.
func TestWantsPairs(t *testing.T) {
	for _, tc := range []struct {
		kit    gemm.Kit
		shards int
		faster bool
		want   bool
	}{
		{gemm.Kit{}, 0, true, true}, {gemm.Kit{}, 0, false, false},
		{gemm.Kit{}, 4, true, false}, {gemm.Portable(), 0, true, false},
	} {
		if got := wantsPairs(tc.kit, tc.shards, tc.faster); got != tc.want {
			t.Errorf("%s kernels, %d shards, faster %v: %v, want %v", tc.kit.Name(), tc.shards, tc.faster, got, tc.want)
		}
	}
}

// TestPrecisions checks which precisions a session takes.
func TestPrecisions(t *testing.T) {
	w := wholePrograms{strings.NewReplacer(), "sgd", 0, ""}
	for precision, want := range map[string]string{
		"": "", "fp32": "", "bf16": "", "tf32": `precision "tf32": the CPU computes in fp32 or bf16`,
	} {
		job := wholeJob(w)
		job.Precision = precision
		text := ""
		s, err := backend.Session(nil), error(nil)
		if s, err = (cpu{}).Open(t.Context(), job); err == nil {
			s.Close()
		} else {
			text = err.Error()
		}
		if text != want {
			t.Errorf("%q: %q, want %q", precision, text, want)
		}
	}
}
