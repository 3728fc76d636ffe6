package backendtest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/backend/sumtree"
	"github.com/gespann/gespann/internal/data"
)

// Shards checks deterministic training on a backend: that it does not depend on
// the number of threads, nor on how many replicas share the shards of a step.
func Shards(t *testing.T, b backend.Backend, traits ...Trait) {
	if !slices.Contains(traits, NoThreads) {
		t.Run("threads", func(t *testing.T) { testShardThreads(t, b) })
	}
	for _, c := range []struct {
		batch, accumulate int
		what              string
	}{
		{50, 1, "3 rows are left for the last step"}, {25, 2, "batches are added"},
		{4, 9, "16 shards"}, {300, 1, "one step"}, {7, 1, "a shard is empty in each step"},
	} {
		t.Run(fmt.Sprintf("%dx%d", c.batch, c.accumulate), func(t *testing.T) {
			job := Job(t, c.batch, c.accumulate)
			job.Shards = backend.ShardsFor(c.accumulate)
			testReplicas(t, b, job)
		})
	}
	if !slices.Contains(traits, Allocates) {
		t.Run("allocations", func(t *testing.T) {
			job := Job(t, 32, 1)
			job.Shards = backend.MinShards
			countAllocations(t, open(t, b, job), epoch(job, 0))
		})
	}
	t.Run("not finite", func(t *testing.T) { testShardNotFinite(t, b) })
	t.Run("wrong number", func(t *testing.T) {
		for _, shards := range []int{-8, 7, 12, 4} {
			job := Job(t, 4, 5)
			job.Shards = shards
			if s, err := b.Open(t.Context(), job); err == nil {
				t.Errorf("Open with %d shards and accumulation 5, want an error", shards)
				s.Close()
			}
		}
	})
}

// testShardNotFinite checks that a step with a row that spoils one shard is
// reported and not taken, and that its gradients are not in a later one.
func testShardNotFinite(t *testing.T, b backend.Backend) {
	job := Job(t, 32, 1)
	job.Shards, job.Shuffle = backend.MinShards, false
	x := job.Data.Parts[data.Train].X.F32
	x[70*features] = float32(math.NaN()) // in step 3
	s := open(t, b, job)
	span := epoch(job, 0)
	_, n, err := s.Train(t.Context(), span)
	var e *backend.NotFiniteError
	if !errors.As(err, &e) || n != 2 || e.Step != 3 || e.Layer != "the data" {
		t.Fatalf("Train = %d steps, %v, want 2 and an error in step 3 in the data", n, err)
	}
	clean := job
	set := *job.Data
	set.Parts[data.Train].X.F32 = slices.Clone(x)
	set.Parts[data.Train].X.F32[70*features] = 0
	clean.Data = &set
	other := open(t, b, clean)
	span.Last = 2
	train(t, other, span)
	sameBits(t, "before the bad step", snapshot(t, s), snapshot(t, other), backend.Stats{}, backend.Stats{})
	last := backend.Span{First: 3, Last: 4, Step: 3, Rates: []float32{0.1}}
	sameBits(t, "after it", nil, nil, train(t, s, last), train(t, other, last))
	sameBits(t, "after it", snapshot(t, s), snapshot(t, other), backend.Stats{}, backend.Stats{})
}

// testShardThreads trains on shards that are large enough to be cut up.
func testShardThreads(t *testing.T, b backend.Backend) {
	var want [][]float32
	var wantStats backend.Stats
	for _, threads := range []int{1, 2, 4} {
		job := Job(t, 32000, 1)
		job.Data = tinyData(64003, 0)
		job.Threads, job.Shards = threads, backend.ShardsFor(1)
		s := open(t, b, job)
		stats := train(t, s, epoch(job, 0))
		got := snapshot(t, s)
		if want == nil {
			want, wantStats = got, stats
		}
		sameBits(t, fmt.Sprintf("%d threads", threads), got, want, stats, wantStats)
	}
}

// testReplicas compares one session with several that share the shards.
func testReplicas(t *testing.T, b backend.Backend, job backend.Job) {
	whole := open(t, b, job)
	span := epoch(job, 1)
	span.Tick = 5
	wantStats := train(t, whole, span)
	want := snapshot(t, whole)
	n := job.Shards
	for _, cuts := range [][]int{{0, n}, {0, n / 2, n}, {0, 1, n - 2, n}, {0, 3, 3, 5, n}} {
		g := group{job: job, cuts: cuts}
		for range cuts[1:] {
			g.replicas = append(g.replicas, replica(t, b, job))
		}
		var stats backend.Stats
		for i := range span.Last {
			g.step(t, backend.StepAt{Epoch: 1, Index: i, Done: span.Step + int64(i)}, span, &stats)
		}
		for k, r := range g.replicas {
			sameBits(t, fmt.Sprintf("shards cut at %v: replica %d", cuts, k), snapshot(t, r), want, stats, wantStats)
		}
		for name, sums := range wantStats.Metrics {
			if !slices.Equal(stats.Metrics[name], sums) {
				t.Errorf("shards cut at %v: %s is %v, want %v", cuts, name, stats.Metrics[name], sums)
			}
		}
	}
}

// A group is replicas of which number i has the shards cuts[i] ≤ k < cuts[i+1].
type group struct {
	job      backend.Job
	cuts     []int
	replicas []backend.Replica
}

// step takes one step: each replica folds the gradients of its shards, all exchange the
// nodes. The shards of a run meet, those of all replicas at the same time.
func (g *group) step(t *testing.T, at backend.StepAt, span backend.Span, stats *backend.Stats) {
	t.Helper()
	n := g.job.Shards
	perRun := backend.RunShards(g.job.Accumulate, n)
	trees := make([]*sumtree.Tree, len(g.replicas))
	for k := range trees {
		trees[k] = newTree(t, n)
	}
	outcomes := make([]backend.Outcome, n)
	for run := 0; run < n; run += perRun {
		var cuts []int // of the run's shards
		for _, cut := range g.cuts {
			cuts = append(cuts, min(max(cut-run, 0), perRun))
		}
		hall := newHall(len(g.replicas), perRun, func(v [][]float64) error {
			for i := range cuts[1:] {
				if err := meet.Fold(v, cuts[i], cuts[i+1]); err != nil {
					return err
				}
			}
			return meet.Join(v, cuts)
		})
		var all sync.WaitGroup
		for k, r := range g.replicas {
			all.Go(func() { g.shards(t, r, trees[k], at, span, run, cuts[k], cuts[k+1], hall, outcomes) })
		}
		all.Wait()
	}
	var nodes []sumtree.Node
	for _, tree := range trees {
		nodes = append(nodes, tree.Nodes()...)
	}
	g.replicas[0].Outcomes().AddStep(stats, outcomes)
	for _, r := range g.replicas {
		tree := newTree(t, n)
		for _, n := range nodes {
			push(t, tree, n)
		}
		sum, ok := tree.Root()
		if !ok || copy(r.Gradients(), sum) != len(r.Gradients()) {
			t.Fatalf("the sum has %d elements, complete %v, want %d", len(sum), ok, len(r.Gradients()))
		}
		apply(t, r, at, span.Rates[at.Index-span.First])
	}
}

// shards computes shards lo ≤ i < hi of a run, and pushes their gradients.
func (g *group) shards(t *testing.T, r backend.Replica, tree *sumtree.Tree, at backend.StepAt, span backend.Span,
	run, lo, hi int, hall *hall, outcomes []backend.Outcome) {
	first, rows := rowsOf(g.job, at.Index)
	n := g.job.Shards
	var parts []backend.Part
	for i := run + lo; i < run+hi; i++ {
		part := backend.ShardOfRun(at, first, rows, g.job.BatchSize, backend.RunShards(g.job.Accumulate, n), i, n)
		part.Tick += int32(span.Tick)
		parts = append(parts, part)
	}
	got, err := r.Together(t.Context(), at, parts, backend.Together{Meet: hall.meet(lo), Each: func(i int, dw []float32) error {
		return tree.Push(run+lo+i, run+lo+i+1, dw)
	}})
	if err != nil {
		t.Error(err)
	}
	for i, part := range parts {
		if part.Rows == 0 {
			if err := tree.Push(run+lo+i, run+lo+i+1, nil); err != nil {
				t.Error(err)
			}
		}
	}
	copy(outcomes[run+lo:], got)
}

func newTree(t *testing.T, leaves int) *sumtree.Tree {
	t.Helper()
	tree, err := sumtree.New(leaves, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func push(t *testing.T, tree *sumtree.Tree, n sumtree.Node) {
	t.Helper()
	if err := tree.Push(n.Lo, n.Hi, n.Sum); err != nil {
		t.Fatal(err)
	}
}
