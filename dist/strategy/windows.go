package strategy

// mergeInOrder is a round of a strategy of Windows: each commit is staler by one
// than the one before it.
func mergeInOrder(center Center, c []float32, commits [][]float32) {
	for staleness, commit := range commits {
		center.Merge(c, commit, staleness)
	}
}

// delta is the worker's side of downpour and dynsgd, and per step that of adag.
//
//	commit  w − p; states w
//	then    w = p = reply
//
// With perStep, parameters are divided by the number of steps taken.
type delta struct {
	Params
	perStep bool
}

func newDelta(p Params) Local { return delta{p, false} }

// newDeltaPerStep is for adag.
//
//	commit  (w − p)/k
//
// where k is the steps taken, which at the end of a span can be fewer than the
// window.
//
// Source: Hermans, Spanakis and Moeckel, Accumulated gradient normalization, ACML
// 2017, arXiv 1710.02368.
func newDeltaPerStep(p Params) Local { return delta{p, true} }

func (d delta) Commit(w, p []float32, steps int) {
	k := float32(1)
	if d.perStep {
		k = float32(max(steps, 1))
	}
	d.split(len(w), func(lo, hi int) {
		w := w[lo:hi]
		for i, p := range p[lo:hi] {
			w[i] = (w[i] - p) / k
		}
	}, func(int, int) {})
}

func (delta) Receive(_, _ []float32) {}

// sum is the center of downpour and adag, and with damp that of dynsgd.
//
//	c = c + commit
//
// States, after s commits of others since the worker got p:
//
//	c = c + (w − c)/(s+1)
//
// and variances those of both together (Params.apart). When several workers that begin together commit one after the other, that is the
// mean of those so far; when one works alone, it is w.
//
// Source: Dean et al., Large scale distributed deep networks, NIPS 2012, alg. 1.1
// (Downpour SGD), with the workers' own optimisers in place of the server's Adagrad.
type sum struct {
	Params
	damp bool
}

func newSum(p Params) Center { return sum{p, false} }

// newStale is the center of dynsgd.
//
//	c = c + commit/(s+1)
//
// where s is the number of commits of others since the worker got p.
//
// Source: Jiang, Cui, Zhang and Yu, Heterogeneity-aware distributed parameter
// servers, SIGMOD 2017 (DynSGD).
func newStale(p Params) Center { return sum{p, true} }

func (m sum) Merge(c, commit []float32, staleness int) {
	s := float32(staleness + 1)
	if staleness > 0 {
		m.apart(c, commit, 1/s)
	}
	m.split(len(c), func(lo, hi int) {
		if m.damp && staleness > 0 {
			addPart(c[lo:hi], commit[lo:hi], s)
		} else {
			add(c[lo:hi], commit[lo:hi])
		}
	}, func(lo, hi int) {
		if staleness == 0 {
			copy(c[lo:hi], commit[lo:hi]) // what the formula would round
		} else {
			approach(c[lo:hi], commit[lo:hi], s)
		}
	})
}

// add makes both c and x their sum.
func add(c, x []float32) {
	c = c[:len(x)]
	for i, v := range x {
		v += c[i]
		c[i], x[i] = v, v
	}
}

// addPart makes both c and x c + x/k.
func addPart(c, x []float32, k float32) {
	c = c[:len(x)]
	for i, v := range x {
		v = c[i] + v/k
		c[i], x[i] = v, v
	}
}

// approach makes both c and x c + (x − c)/s.
func approach(c, x []float32, s float32) {
	c = c[:len(x)]
	for i, v := range x {
		v = c[i] + (v-c[i])/s
		c[i], x[i] = v, v
	}
}

func (m sum) Round(c []float32, commits [][]float32, _ []int) { mergeInOrder(m, c, commits) }
