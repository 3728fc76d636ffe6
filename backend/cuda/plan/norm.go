package plan

import "github.com/gespann/gespann/backend/ir"

// norm plans normalisations and embeddings.
func (b *builder) norm() {
	a := &b.ins.Attrs
	rows, cols := ir.Rows(b.shape(0))
	act, alpha := b.act()
	switch b.ins.Op {
	case ir.BatchNorm:
		b.columns("batch_norm_stats", rows, cols, 6, 0, b.out(1), b.out(2), null(), b.in(0), i64(rows), i32(cols))
		b.each("batch_norm_apply", rows*cols, b.out(0), b.in(0), b.in(1), b.in(2), b.out(1), b.out(2),
			i64(rows*cols), i32(cols), f32(a.Eps), act, alpha)
	case ir.BatchNormInfer:
		b.each("batch_norm_apply", rows*cols, b.out(0), b.in(0), b.in(1), b.in(2), b.in(3), b.in(4),
			i64(rows*cols), i32(cols), f32(a.Eps), act, alpha)
	case ir.BatchNormGrad:
		b.batchNormGrad(rows, cols)
	case ir.LayerNorm:
		b.rows("layer_norm", rows, cols, b.out(0), b.out(1), b.out(2), b.in(0), b.in(1), b.in(2),
			i64(rows), i32(cols), f32(a.Eps))
	case ir.LayerNormGrad:
		b.layerNormGrad(rows, cols)
	case ir.Embedding:
		n := ir.Size(b.shape(1))
		b.each("embedding", n*cols, b.out(0), b.in(0), b.in(1), i64(n), i32(rows), i32(cols))
	case ir.EmbeddingGrad:
		n := ir.Size(b.shape(0))
		b.launch("embedding_grad", grid(ceil(a.Dims[0], threads/32)), threads, b.out(0), b.in(0), b.in(1),
			i64(n), i32(a.Dims[0]), i32(a.Dims[1]))
	}
}

// batchNormGrad plans the sums over rows and, when it is wanted, dx, which needs
// them: those that are not wanted lie at the start of Scratch.
func (b *builder) batchNormGrad(rows, cols int) {
	dx, dgamma, dbeta := b.out(0), b.out(1), b.out(2)
	skip := int64(0)
	for _, sum := range []*Arg{&dgamma, &dbeta} {
		if sum.Ref.Buffer == Null && dx.Ref.Buffer != Null {
			size := int64(ceil(cols, ir.Align)*ir.Align) * 4
			*sum = ptr(b.scratch(skip, size))
			skip += size
		}
	}
	eps := f32(b.ins.Attrs.Eps)
	x, gamma, mean, variance, dy := b.in(0), b.in(1), b.in(2), b.in(3), b.in(4)
	b.columns("batch_norm_sums", rows, cols, 4, skip, dgamma, dbeta, null(), x, mean, variance, dy,
		i64(rows), i32(cols), eps)
	if dx.Ref.Buffer != Null {
		b.each("batch_norm_dx", rows*cols, dx, x, gamma, mean, variance, dy, dgamma, dbeta,
			i64(rows), i32(cols), eps)
	}
}

func (b *builder) layerNormGrad(rows, cols int) {
	x, gamma, mean, rstd, dy := b.in(0), b.in(1), b.in(2), b.in(3), b.in(4)
	if b.ins.Out[1] != ir.None || b.ins.Out[2] != ir.None {
		b.columns("layer_norm_sums", rows, cols, 2, 0, b.out(1), b.out(2), x, mean, rstd, dy,
			i64(rows), i32(cols))
	}
	if b.ins.Out[0] != ir.None {
		b.rows("layer_norm_dx", rows, cols, b.out(0), x, gamma, mean, rstd, dy, i64(rows), i32(cols))
	}
}
