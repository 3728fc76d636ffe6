package strategy

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// A problem is least squares with a solution: worker i has the rows a[i] [rows,
// dims] and b[i] = a[i]·best.
type problem struct {
	a, b [][]float64
	best []float64
}

const (
	dims    = 8
	rows    = 20
	workers = 4
	rate    = 0.05
)

func newProblem(r *rand.Rand) *problem {
	p := &problem{}
	for range dims {
		p.best = append(p.best, r.NormFloat64())
	}
	for range workers {
		var a, b []float64
		for range rows {
			dot := 0.0
			for k := range dims {
				a = append(a, r.NormFloat64())
				dot += a[len(a)-1] * p.best[k]
			}
			b = append(b, dot)
		}
		p.a, p.b = append(p.a, a), append(p.b, b)
	}
	return p
}

// distance returns |w − best| / |best|.
func (p *problem) distance(w []float32) float64 {
	sum, norm := 0.0, 0.0
	for k, best := range p.best {
		sum += (float64(w[k]) - best) * (float64(w[k]) - best)
		norm += best * best
	}
	return math.Sqrt(sum / norm)
}

// A learner takes steps of SGD on 4 of its rows at a time, with Nesterov momentum.
type learner struct {
	w, p     []float32
	v        []float64
	momentum float64
	next     int
	got      int // commits when it last got c
}

// goOn goes on with what the center answered.
func (l *learner) goOn(w []float32) {
	copy(l.w, w)
	copy(l.p, w)
}

func (l *learner) steps(p *problem, rank, count int) {
	const batch = 4
	for range count {
		grad := make([]float64, dims)
		for range batch {
			row := l.next % rows
			l.next++
			x := p.a[rank][row*dims : (row+1)*dims]
			diff := -p.b[rank][row]
			for k := range dims {
				diff += x[k] * float64(l.w[k])
			}
			for k := range dims {
				grad[k] += diff * x[k] / batch
			}
		}
		for k := range dims {
			l.v[k] = l.momentum*l.v[k] + grad[k]
			l.w[k] -= float32(rate * (grad[k] + l.momentum*l.v[k]))
		}
	}
}

// simulate lets workers take turns, each a window at a time, and returns how far
// the center is from the solution, of one as far away as it was.
func simulate(t *testing.T, name string, named map[string]float64, momentum float64, turns int) float64 {
	t.Helper()
	s, ok := Lookup(name)
	if !ok {
		t.Fatalf("no strategy %q", name)
	}
	params := Params{Named: s.Complete(named), Rate: rate}
	if err := Check(name, params); err != nil {
		t.Fatal(err)
	}
	p := newProblem(rand.New(rand.NewPCG(7, 7)))
	center, local, c := s.NewCenter(params), s.NewLocal(params), make([]float32, dims)
	n := workers
	if s.Pattern == Alone || s.Pattern == Members {
		n = 1
	}
	all := make([]*learner, n)
	for i := range all {
		all[i] = &learner{w: slices.Clone(c), p: slices.Clone(c), v: make([]float64, dims), momentum: momentum}
	}
	k := s.Window(params, 25)
	commits, steps := make([][]float32, n), make([]int, n)
	for turn := range turns {
		for i, l := range all {
			l.steps(p, i, k)
			commits[i], steps[i] = make([]float32, dims), k
			copy(commits[i], l.w)
			local.Commit(commits[i], l.p, k)
			sent := slices.Clone(commits[i])
			if s.Pattern == Rounds {
				continue
			}
			center.Merge(c, commits[i], turn*n+i-l.got)
			l.got = turn*n + i + 1
			local.Receive(sent, commits[i])
			l.goOn(commits[i])
		}
		if s.Pattern == Rounds {
			center.Round(c, commits, steps)
			for _, l := range all {
				reply := slices.Clone(c)
				local.Receive(nil, reply) // what was sent does not matter in rounds
				l.goOn(reply)
			}
		}
	}
	return p.distance(c)
}

// TestConverges has four workers solve least squares: each has rows of its own,
// and its gradients are those of c some commits ago.
func TestConverges(t *testing.T) {
	for _, s := range All() {
		if s.NewCenter == nil {
			continue
		}
		momentum, named := 0.0, map[string]float64{}
		switch s.Name {
		case "eamsgd":
			momentum = 0.9
		case "diloco":
			named["window"] = 20
		}
		if got := simulate(t, s.Name, named, momentum, 100); !(got < 1e-2) {
			t.Errorf("%s: %v of the distance is left, want less than 1/100", s.Name, got)
		} else {
			t.Logf("%s: %.2g of the distance is left", s.Name, got)
		}
	}
}

// TestDownpourDiverges shows why there is adag: after a long window each of four
// workers sends nearly all that is missing, and the center adds all four. What is
// missing, e, becomes e(t+1) = e(t) − e(t−3), which grows. Damped by staleness or
// divided by the window, it shrinks.
func TestDownpourDiverges(t *testing.T) {
	long := map[string]float64{"window": 200}
	if got := simulate(t, "downpour", long, 0, 100); !(got > 100) {
		t.Errorf("downpour: %v of the distance is left, want more than 100", got)
	}
	for _, name := range []string{"adag", "dynsgd", "local_sgd", "aeasgd"} {
		if got := simulate(t, name, long, 0, 100); !(got < 0.5) {
			t.Errorf("%s: %v of the distance is left, want less than half", name, got)
		}
	}
}
