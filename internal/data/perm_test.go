package data

import (
	"math"
	"slices"
	"testing"
)

func TestPermIsBijective(t *testing.T) {
	sizes := []int{1023, 1024, 1025, 60000, 1 << 17}
	for n := 1; n <= 300; n++ {
		sizes = append(sizes, n)
	}
	for _, n := range sizes {
		for _, epoch := range []int{-1, 0, 1} {
			p := NewPerm(n, 3, epoch)
			seen := make([]bool, n)
			for i := range n {
				row := p.At(i)
				if row < 0 || row >= n || seen[row] {
					t.Fatalf("n %d, epoch %d: At(%d) = %d, out of range or seen before", n, epoch, i, row)
				}
				seen[row] = true
			}
		}
	}
}

// TestPermGolden pins the formula, which kernels repeat.
func TestPermGolden(t *testing.T) {
	tests := []struct {
		n     uint32
		seed  uint64
		epoch int
		want  []uint32
	}{
		{10, 1, 0, []uint32{2, 7, 8, 0, 4, 9, 3, 1, 5, 6}},
		{1797, 1, 0, []uint32{144, 986, 1717, 350, 835, 1753}},
		{60000, 42, 3, []uint32{50817, 34180, 30213, 16236, 56116, 8594}},
		{60000, math.MaxUint64, -2, []uint32{11881, 273, 59690, 12055, 6885, 58405}},
		{math.MaxUint32, 1, 1, []uint32{335954649, 2534412491, 3568635908, 3004570586}},
	}
	for _, test := range tests {
		if int(test.n) < 0 {
			continue // int has 32 bits
		}
		got := make([]uint32, len(test.want))
		NewPerm(int(test.n), test.seed, test.epoch).Fill(got, 0)
		if !slices.Equal(got, test.want) {
			t.Errorf("NewPerm(%d, %d, %d) = %#v, want %#v", test.n, test.seed, test.epoch, got, test.want)
		}
	}
}

func TestPermDiffers(t *testing.T) {
	const n = 1000
	base := fill(NewPerm(n, 1, 0))
	for name, p := range map[string]Perm{"epoch": NewPerm(n, 1, 1), "seed": NewPerm(n, 2, 0), "order": InOrder(n)} {
		same := 0
		for i, row := range fill(p) {
			if base[i] == row {
				same++
			}
		}
		// Two random permutations agree in one place on average, Poisson.
		if same > 8 {
			t.Errorf("another %s: %d of %d rows in the same place, want about 1", name, same, n)
		}
	}
}

// TestPermUniform counts where each row lands over many epochs. The statistic is
// chi-square with (n-1)² degrees of freedom, near normal; five deviations are
// allowed.
func TestPermUniform(t *testing.T) {
	for _, n := range []int{2, 3, 5, 8, 13, 32, 57} {
		const epochs = 20000
		counts := make([]int, n*n)
		for epoch := range epochs {
			p := NewPerm(n, 3, epoch)
			for i := range n {
				counts[i*n+p.At(i)]++
			}
		}
		want := float64(epochs) / float64(n)
		chi := 0.0
		for _, c := range counts {
			chi += (float64(c) - want) * (float64(c) - want) / want
		}
		freedom := float64((n - 1) * (n - 1))
		if limit := freedom + 5*math.Sqrt(2*freedom); chi > limit {
			t.Errorf("n %d: chi-square %.1f, want at most %.1f", n, chi, limit)
		}
	}
}

// TestPermPairs counts which row follows which, over many epochs.
func TestPermPairs(t *testing.T) {
	const n, epochs = 16, 20000
	counts := make([]int, n*n)
	for epoch := range epochs {
		rows := fill(NewPerm(n, 9, epoch))
		for i := range n - 1 {
			counts[rows[i]*n+rows[i+1]]++
		}
	}
	want := float64(epochs*(n-1)) / float64(n*(n-1))
	chi := 0.0
	for i, c := range counts {
		if i/n != i%n {
			chi += (float64(c) - want) * (float64(c) - want) / want
		}
	}
	freedom := float64(n*(n-1) - 1)
	if limit := freedom + 5*math.Sqrt(2*freedom); chi > limit {
		t.Errorf("chi-square %.1f, want at most %.1f", chi, limit)
	}
}

func fill(p Perm) []uint32 {
	rows := make([]uint32, p.Len())
	p.Fill(rows, 0)
	return rows
}

func BenchmarkPerm(b *testing.B) {
	rows := make([]uint32, 128)
	p := NewPerm(60000, 1, 0)
	for b.Loop() {
		p.Fill(rows, 1000)
	}
}
