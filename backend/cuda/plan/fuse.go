package plan

import "github.com/gespann/gespann/backend/ir"

// fuse plans the instructions from i on that one launch computes, and returns
// their number; 0 for those that are planned one by one.
func (b *builder) fuse(i int) int {
	rest := b.p.Instrs[i:]
	if len(rest) < 2 {
		return 0
	}
	switch rest[0].Op {
	case ir.SoftmaxXent:
		n := 2
		if len(rest) > 2 && isMetricOf(&rest[0], &rest[1]) {
			n = 3
		}
		if isGradOf(&rest[0], &rest[n-1]) && b.apart(i, n) {
			return b.lossStep(i, n)
		}
	case ir.BiasGrad:
		if sumsColumns(&rest[0], &rest[1]) && b.apart(i, 2) {
			return b.productWithSums(i)
		}
	}
	return 0
}

// apart reports whether no output of n instructions from i on lies where another of
// their outputs or an input of one is, but for those that hand on a value.
func (b *builder) apart(i, n int) bool {
	type place struct {
		Ref
		end int64
	}
	var ins, outs []place
	at := func(s ir.Slot) place {
		r := b.plan.Values[s]
		return place{r, r.Offset + int64(b.p.Values[s].Size())*4}
	}
	written := map[ir.Slot]bool{}
	for k := range n {
		for _, s := range b.p.Instrs[i+k].In {
			if s != ir.None && !written[s] {
				ins = append(ins, at(s))
			}
		}
		for _, s := range b.p.Instrs[i+k].Out {
			if s != ir.None {
				written[s] = true
				outs = append(outs, at(s))
			}
		}
	}
	meet := func(x, y place) bool {
		return x.Buffer == y.Buffer && x.Index == y.Index && x.Offset < y.end && y.Offset < x.end
	}
	for k, x := range outs {
		for _, y := range outs[k+1:] {
			if meet(x, y) {
				return false
			}
		}
		for _, y := range ins {
			if meet(x, y) {
				return false
			}
		}
	}
	return true
}

// lossStep plans a loss, a metric if there are three instructions, and its gradient.
func (b *builder) lossStep(i, n int) int {
	b.at(i)
	rows, cols := ir.Rows(b.shape(0))
	if cols > 1024 {
		return 0
	}
	classes, values := b.target()
	loss, prob, x := b.out(0), b.out(1), b.in(0)
	b.at(i + n - 1)
	dx, dloss := b.out(0), b.in(2)
	hits, kind, k, batch := null(), 0, 0, 1
	if n > 2 {
		b.at(i + 1)
		hits, kind, k, batch = b.out(0), int(b.ins.Attrs.Metric), b.ins.Attrs.K, b.shape(0)[0]
	}
	b.at(i)
	l := b.launch("softmax_xent_step", grid(ceil(rows, threads/32)), threads, loss, prob, dx, hits, x, classes, values, dloss,
		i64(rows), i32(cols), i64(batch), i32(kind), i32(k), ptr(b.scratch(0, int64(rows)*8)), ptr(b.counters(1)))
	for also := 1; also < n; also++ {
		l.Also = append(l.Also, i+also)
	}
	return n
}

// maxColumnTerms is the most terms that a thread of a product adds up of a column, one
// by one: with those of a block's threads and of parts less than 512.
const maxColumnTerms = 256

// productWithSums plans the sum for a bias at i as part of the product behind it.
func (b *builder) productWithSums(i int) int {
	b.at(i)
	sums, cols := b.out(0), b.outShape(0)[0]
	if cols != b.p.Values[b.p.Instrs[i+1].Out[0]].Shape[1] {
		return 0
	}
	b.at(i + 1)
	cut := b.matMulTiling()
	if cut.kPart*cut.cols/4/cut.threads > maxColumnTerms {
		return 0
	}
	b.at(i)
	// What a session does that computes the product by other means.
	b.instr()
	last := len(b.plan.Launches) - 1
	alone := b.plan.Launches[last]
	b.plan.Launches = b.plan.Launches[:last]

	b.at(i + 1)
	t := b.matrices(cut)
	t.sums = []Arg{sums}
	if cut.parts > 1 { // with a row of sums in each
		t.part = b.parts(cut.m+1, &cut)
	}
	l := b.launchMatMul(t)
	l.Also, l.Product.Epilogue = []int{i}, &alone
	return 2
}

// at makes instruction i the current one.
func (b *builder) at(i int) {
	b.i, b.ins = i, &b.p.Instrs[i]
	b.aside = b.asides[i]
}
