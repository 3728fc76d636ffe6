package backend

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func TestShardsFor(t *testing.T) {
	for accumulate, want := range map[int]int{
		1: 8, 8: 8, 9: 16, 16: 16, 1000: 1024, math.MaxInt: maxShards,
	} {
		if got := ShardsFor(accumulate); got != want {
			t.Errorf("ShardsFor(%d) = %d, want %d", accumulate, got, want)
		}
	}
}

// TestShard checks that shards are the rows of a step, once each and in order,
// with sizes that differ by at most one.
func TestShard(t *testing.T) {
	at := StepAt{Epoch: 1, Index: 2, Done: 7}
	for _, c := range [][2]int{{1, 8}, {5, 8}, {8, 8}, {47, 8}, {48, 16}, {1000, 64}} {
		rows, n := c[0], c[1]
		next, weight := 300, 0.0
		for i := range n {
			p := Shard(at, 300, rows, i, n)
			if p.First != next || p.Rows < rows/n || p.Rows > (rows+n-1)/n || p.Tick != int32(7*n+i) {
				t.Errorf("shard %d of %d, %d rows: got %+v, want to begin at %d", i, n, rows, p, next)
			}
			next += p.Rows
			weight += float64(p.Weight)
		}
		if next != 300+rows || math.Abs(weight-1) > 1e-6 {
			t.Errorf("%d shards end at %d with weight %v, want %d and 1", n, next, weight, 300+rows)
		}
	}
}

// TestShare checks that members share all rows, in order, as their weights say.
func TestShare(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		weights := make([]int, 1+r.IntN(9))
		total := 0
		for i := range weights {
			weights[i] = r.IntN(100)
			total += weights[i]
		}
		if total == 0 {
			continue
		}
		rows, next := r.IntN(5000), 0
		for i, w := range weights {
			lo, hi := Share(rows, weights, i)
			if exact := float64(rows) * float64(w) / float64(total); lo != next || math.Abs(float64(hi-lo)-exact) > 1 {
				t.Errorf("Share(%d, %v, %d) = %d, %d, want %v rows from %d", rows, weights, i, lo, hi, exact, next)
			}
			next = hi
		}
		if next != rows {
			t.Errorf("shares of %d rows by %v end at %d", rows, weights, next)
		}
	}
}

func TestBatches(t *testing.T) {
	at := StepAt{Done: 3}
	want := []Part{
		{First: 110, Rows: 8, Weight: 0.2, Tick: 17}, {First: 118, Rows: 8, Weight: 0.2, Tick: 18},
		{First: 126, Rows: 4, Weight: 0.1, Tick: 19},
	}
	if got := Batches(at, 100, 40, 10, 30, 8, 2, 5); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := Batches(at, 100, 40, 10, 10, 8, 2, 5); got != nil {
		t.Errorf("batches of no rows are %+v", got)
	}
}

func TestOutcomes(t *testing.T) {
	l := Layout{Names: []string{"accuracy", "confusion"}, Sizes: []int{1, 2}}
	if l.Len() != 3 {
		t.Errorf("Len is %d, want 3", l.Len())
	}
	stats := Stats{Rows: 1, Loss: 1, Metrics: map[string][]float64{"accuracy": {1}}}
	l.AddStep(&stats, []Outcome{
		{Rows: 2, Loss: 0.5, Metrics: []float32{1, 2, 3}}, {}, {Rows: 4, Loss: 0.25, Metrics: []float32{4, 5, 6}},
	})
	want := Stats{Rows: 7, Loss: 3, Metrics: map[string][]float64{"accuracy": {6}, "confusion": {7, 9}}}
	if !reflect.DeepEqual(stats, want) {
		t.Errorf("got %+v, want %+v", stats, want)
	}
}
