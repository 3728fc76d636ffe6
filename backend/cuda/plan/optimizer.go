package plan

import "github.com/gespann/gespann/backend/ir"

// chunk is the number of elements that a block of an optimiser updates, as in
// optimizer.cuh. No chunk has elements of two variables.
const chunk = 2048

// rowWords is the number of words of a variable's row in the table of an
// optimiser: first chunk, elements, g, p and three slots.
const rowWords = 7

// clipNorm plans the factor that bounds the norm of gradients.
func (b *builder) clipNorm() {
	table, chunks := b.table(0, 0)
	blocks := min(chunks, 2*b.plan.Options.Multiprocessors)
	b.launch("clip_norm", grid(blocks), threads, b.out(0), table, i32(len(b.ins.In)), i32(chunks), f32(b.ins.Attrs.Max),
		ptr(b.scratch(0, int64(blocks)*8)), ptr(b.counters(1)))
}

// ema plans what states become.
func (b *builder) ema() {
	table, chunks := b.table(0, 1)
	m := b.ins.Attrs.Momentum
	b.launch("ema", grid(chunks), threads, halt(), table, i32(len(b.ins.In)), f32(m), f32(1-m))
}

// halt points to what says that nothing is to change.
func halt() Arg { return ptr(Ref{Buffer: Control, Offset: haltOffset}) }

// optimise plans an optimiser, whose kernel has the name of the op, with arguments of its
// own behind those that all have.
func (b *builder) optimise(more ...Arg) {
	a := &b.ins.Attrs
	first, scale := 2, null()
	if a.Scale {
		first, scale = 3, b.in(2)
	}
	n := len(b.ins.In) - first
	table, chunks := b.table(first, len(b.ins.Out)/n)
	args := []Arg{halt(), table, i32(n), b.in(0), scale, f32(a.WeightDecay), f32(a.ClipValue)}
	b.launch(b.ins.Op.String(), grid(chunks), threads, append(args, more...)...)
}

// table appends the rows of a list of variables to the plan's table: input
// first+k and outputs k, n+k, ... for groups of n outputs. It returns where they
// begin, and the number of chunks.
func (b *builder) table(first, groups int) (Arg, int) {
	at := Ref{Buffer: Tables, Offset: b.plan.TableBytes()}
	chunks := 0
	n := len(b.ins.In) - first
	for k := range n {
		size := ir.Size(b.shape(first + k))
		row := []Arg{i64(chunks), i64(size), b.in(first + k), null(), null(), null(), null()}
		for g := range groups {
			row[3+g] = b.out(g*n + k)
		}
		b.plan.Table = append(b.plan.Table, row[:rowWords]...)
		chunks += ceil(size, chunk)
	}
	return ptr(at), chunks
}
