package plan

import (
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
)

// batchNorm plans the statistics and what is made of them.
func (b *builder) batchNorm() {
	rows, cols := ir.Rows(b.shape(0))
	sums, skip := null(), int64(0)
	if b.plan.Options.Meets {
		sums, skip = b.meeting(rows, cols, b.out(1).Ref, b.out(2).Ref)
	}
	b.columns("batch_norm_stats", rows, cols, 6, skip, b.out(1), b.out(2), sums, b.in(0), i64(rows), i32(cols))
	b.normalise(b.out(1), b.out(2))
}

// normalise plans y from x, gamma and beta, with those moments.
func (b *builder) normalise(mean, variance Arg) {
	rows, cols := ir.Rows(b.shape(0))
	act, alpha := b.act()
	b.each("batch_norm_apply", rows*cols, b.out(0), b.in(0), b.in(1), b.in(2), mean, variance,
		i64(rows*cols), i32(cols), f32(b.ins.Attrs.Eps), act, alpha)
}

// meeting notes that parts meet at the current instruction, which puts what becomes of
// their sums to x and y, and returns where its own sums go, and how much of Scratch they
// take.
func (b *builder) meeting(rows, cols int, x, y Ref) (sums Arg, bytes int64) {
	bytes = doubles(cols)
	m := Meeting{Point: meet.PointOf(b.p, b.ins), Sums: b.scratch(0, bytes), A: x, B: y, Rows: rows}
	if b.ins.Op == ir.BatchNormGrad {
		m.Variance, m.Eps = b.in(3).Ref, b.ins.Attrs.Eps
	}
	b.plan.Meetings = append(b.plan.Meetings, m)
	return ptr(m.Sums), bytes
}

// doubles is the memory of two float64 for each column, and singles of one float32, in
// whole lines.
func doubles(cols int) int64 { return int64(ceil(2*cols, ir.Align)*ir.Align) * 8 }
func singles(cols int) int64 { return int64(ceil(cols, ir.Align)*ir.Align) * 4 }

// batchNormGrad plans the sums over rows and, when it is wanted, dx, which needs
// them: those that are not wanted, and those of all parts that meet, lie at the start of
// Scratch.
func (b *builder) batchNormGrad() {
	rows, cols := ir.Rows(b.shape(0))
	dx, dgamma, dbeta := b.out(0), b.out(1), b.out(2)
	more := dx.Ref.Buffer != Null
	sums, skip := null(), int64(0)
	allGamma, allBeta := dgamma, dbeta
	if b.plan.Options.Meets {
		skip = doubles(cols)
		allGamma, allBeta = null(), null()
	}
	for _, sum := range []*Arg{&allGamma, &allBeta} {
		if sum.Ref.Buffer == Null && more {
			*sum = ptr(b.scratch(skip, singles(cols)))
			skip += singles(cols)
		}
	}
	if b.plan.Options.Meets {
		sums, _ = b.meeting(rows, cols, allBeta.Ref, allGamma.Ref)
	} else {
		dgamma, dbeta = allGamma, allBeta
	}
	eps := f32(b.ins.Attrs.Eps)
	x, gamma, mean, variance, dy := b.in(0), b.in(1), b.in(2), b.in(3), b.in(4)
	b.columns("batch_norm_sums", rows, cols, 4, skip, dgamma, dbeta, sums, x, mean, variance, dy,
		i64(rows), i32(cols), eps)
	if more {
		b.each("batch_norm_dx", rows*cols, dx, x, gamma, mean, variance, dy, allGamma, allBeta,
			i64(rows), i32(cols), eps)
	}
}

// layerNormGrad plans dx, which also finds what rounding left of each row's mean, and
// then dgamma and dbeta, which need that.
func (b *builder) layerNormGrad() {
	rows, cols := ir.Rows(b.shape(0))
	x, gamma, mean, rstd, dy := b.in(0), b.in(1), b.in(2), b.in(3), b.in(4)
	size := int64(ceil(rows, ir.Align)*ir.Align) * 4
	rest := ptr(b.scratch(0, size))
	b.rows("layer_norm_dx", rows, cols, b.out(0), rest, x, gamma, mean, rstd, dy, i64(rows), i32(cols))
	if b.ins.Out[1] != ir.None || b.ins.Out[2] != ir.None {
		b.columns("layer_norm_sums", rows, cols, 2, size, b.out(1), b.out(2), x, mean, rstd, rest, dy,
			i64(rows), i32(cols))
	}
}
