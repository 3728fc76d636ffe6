package strategy

import "sync"

// whole is the worker's side where w goes to and fro. A member of an ensemble gets no
// reply.
//
//	commit  w
//	then    w = p = reply
type whole struct{}

func newWhole(Params) Local { return whole{} }

func (whole) Commit(_, _ []float32, _ int) {}
func (whole) Receive(_, _ []float32)       {}

// mean is the center of local_sgd and averaging.
//
//	c = Σ sᵢ·wᵢ / Σ sᵢ
//
// where worker i took sᵢ steps: the plain mean of the papers when all took equally
// many, which they do except at the end of an epoch. Parameters and states alike, but for
// variances (Params.between). The mean of equal vectors has their bits.
//
// Source: Stich, Local SGD converges fast and communicates little, ICLR 2019, arXiv
// 1805.09767, alg. 1; with a window of an epoch McDonald, Hall and Mann,
// Distributed training strategies for the structured perceptron, NAACL 2010 (iterative
// parameter mixing); weights by the amount of work as in McMahan et al., AISTATS
// 2017, arXiv 1602.05629.
type mean struct{ Params }

func newMean(p Params) Center { return mean{p} }

func (m mean) Round(c []float32, commits [][]float32, steps []int) {
	meanOf(c, commits, steps)
	m.between(c, commits, steps)
}

func (m mean) Merge(c, commit []float32, _ int) { mergeAlone(m, c, commit) }

// meanOf writes the mean of commits to out, weighted by steps, if there were any.
// The sum is in float64, so that n equal numbers, each times 1/n, add up to what they were.
func meanOf(out []float32, commits [][]float32, steps []int) {
	total := 0
	for _, s := range steps {
		total += s
	}
	if total == 0 {
		return
	}
	share := func(k int) float64 { return float64(steps[k]) / float64(total) }
	inHalves(len(out), func(lo, hi int) {
		var memory [1024]float64 // stays in the cache while commits come by
		for ; lo < hi; lo += len(memory) {
			part := out[lo:min(lo+len(memory), hi)]
			sums := memory[:len(part)]
			clear(sums)
			k := 0
			for ; k+1 < len(commits); k += 2 {
				addTwo(sums, commits[k][lo:], share(k), commits[k+1][lo:], share(k+1))
			}
			if k < len(commits) {
				addOne(sums, commits[k][lo:], share(k))
			}
			for i, sum := range sums {
				part[i] = float32(sum)
			}
		}
	})
}

// addOne adds s·w to sums.
func addOne(sums []float64, w []float32, s float64) {
	w = w[:len(sums)]
	for i, sum := range sums {
		sums[i] = sum + float64(s*float64(w[i]))
	}
}

// addTwo adds s·w, and then t·x, to sums: what addOne does twice, with half the memory.
func addTwo(sums []float64, w []float32, s float64, x []float32, t float64) {
	w, x = w[:len(sums)], x[:len(sums)]
	for i, sum := range sums {
		sums[i] = sum + float64(s*float64(w[i])) + float64(t*float64(x[i]))
	}
}

// inHalves calls f for 0 ≤ i < n, for long vectors in two goroutines: those who wait for
// a round leave processors free.
func inHalves(n int, f func(lo, hi int)) {
	if n < 64<<10 {
		f(0, n)
		return
	}
	var other sync.WaitGroup
	other.Go(func() { f(0, n/2) })
	f(n/2, n)
	other.Wait()
}

// mergeAlone is a round of one.
func mergeAlone(center Center, c, commit []float32) {
	center.Round(c, [][]float32{commit}, []int{1})
	copy(commit, c)
}

// outer is the center of diloco: Nesterov's momentum on what the workers changed.
//
//	Δ = c − Σ sᵢ·wᵢ / Σ sᵢ
//	v = μ·v + Δ
//	c = c − η·(Δ + μ·v)
//
// where η is outer_learning_rate, μ outer_momentum, and v zero at first. States are
// those of mean: a step beyond it could make a variance negative.
//
// Source: Douillard et al., DiLoCo: distributed low-communication training of
// language models, 2023, arXiv 2311.08105, alg. 1, with the outer optimiser that is
// best there.
type outer struct {
	Params
	v, mean []float32
}

func newOuter(p Params) Center { return &outer{Params: p} }

func (o *outer) Round(c []float32, commits [][]float32, steps []int) {
	if len(o.v) != len(c) {
		o.v, o.mean = make([]float32, len(c)), make([]float32, len(c))
	}
	copy(o.mean, c) // for a round without steps
	meanOf(o.mean, commits, steps)
	o.between(o.mean, commits, steps)
	rate, momentum := float32(o.Named["outer_learning_rate"]), float32(o.Named["outer_momentum"])
	o.split(len(c), func(lo, hi int) {
		c, v := c[lo:hi], o.v[lo:hi]
		for i, m := range o.mean[lo:hi] {
			d := c[i] - m
			v[i] = float32(momentum*v[i]) + d
			c[i] -= float32(rate * (d + float32(momentum*v[i])))
		}
	}, func(lo, hi int) { copy(c[lo:hi], o.mean[lo:hi]) })
}

func (o *outer) Merge(c, commit []float32, _ int) { mergeAlone(o, c, commit) }

// latest is the center of single and of each member of an ensemble: c = w.
//
// Source of ensembles: Hansen and Salamon, Neural network ensembles, IEEE Trans.
// Pattern Anal. Mach. Intell. 12 (1990).
type latest struct{}

func newLatest(Params) Center { return latest{} }

func (latest) Merge(c, commit []float32, _ int) { copy(c, commit) }

func (l latest) Round(c []float32, commits [][]float32, _ []int) { mergeInOrder(l, c, commits) }
