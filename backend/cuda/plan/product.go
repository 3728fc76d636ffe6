package plan

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/gespann/gespann/backend/ir"
)

// A tile is a variant of the tiled products: the outputs that a block computes, its
// threads, and the least number of terms that are worth a block of their own.
type tile struct{ rows, cols, threads, leastK int }

// Tiles by what they multiply with, in order of preference. Narrow ones, for few
// channels, exist for convolutions only.
var (
	simtTiles   = []tile{{128, 128, 256, 256}, {128, 64, 256, 256}, {128, 32, 256, 256}, {64, 64, 256, 128}, {32, 32, 64, 64}}
	tensorTiles = []tile{{128, 128, 256, 256}, {128, 64, 256, 256}, {128, 32, 256, 256}, {64, 64, 128, 128}}
)

// A tiling is how a product [m,n] of k terms is cut.
type tiling struct {
	tile
	m, n, k int
	groups  int
	parts   int // of the sum over k
	kPart   int // terms of each part, a multiple of 32
}

const (
	// maxParts bounds the parts of a sum, which the last block to end adds up.
	maxParts = 64
	// fewParts is how many parts a large tile may need to keep a device busy
	// before a smaller one is the better choice.
	fewParts = 8
)

// tiling chooses the first tile of which little lies outside of the product, and
// that gives every multiprocessor a block, else the smallest. It cuts the sum into
// as many parts as keep all of them busy.
func (b *builder) tiling(m, n, k, groups int) tiling {
	tiles, sms := simtTiles, b.plan.Options.Multiprocessors
	if b.plan.Options.Precision != FP32 {
		tiles = tensorTiles
	}
	t := tiling{m: m, n: n, k: k, groups: groups, tile: tiles[len(tiles)-1]}
	for _, next := range tiles {
		if b.ins.Op == ir.MatMul && next.rows != next.cols || next.wastes(m, n) {
			continue
		}
		t.tile = next
		if t.blocks()*min(ceil(k, next.leastK), fewParts) >= sms {
			break
		}
	}
	t.parts = max(1, min(2*sms/t.blocks(), ceil(k, t.leastK), maxParts))
	t.kPart = ceil(ceil(k, t.parts), 32) * 32
	t.parts = ceil(k, t.kPart)
	return t
}

// blocks returns the number of tiles of all groups.
func (t *tiling) blocks() int { return ceil(t.m, t.rows) * ceil(t.n, t.cols) * t.groups }

// wastes reports whether tiles of [m,n] compute more than half as much again as
// tiles of 32 would.
func (t tile) wastes(m, n int) bool {
	area := ceil(m, t.rows) * t.rows * (ceil(n, t.cols) * t.cols)
	return 2*area > 3*(ceil(m, 32)*32*(ceil(n, 32)*32))
}

// suffix names the variant of a tiled kernel.
func (b *builder) suffix(t tiling) string {
	return [...]string{FP32: "", TF32: "_tf32", BF16: "_bf16"}[b.plan.Options.Precision] + fmt.Sprintf("_%dx%d", t.rows, t.cols)
}

// An epilogue is the inputs of one; null where there are none.
type epilogue struct{ bias, ref Arg }

func (b *builder) epilogue() epilogue {
	e := epilogue{null(), null()}
	k := 2
	if b.ins.Attrs.Bias {
		e.bias = b.in(k)
		k++
	}
	if b.ins.Attrs.GradAct {
		e.ref = b.in(k)
	}
	return e
}

// tiled is the arguments of a tiled product, see tile.cuh.
type tiled struct {
	y, a, b        Arg
	epilogue       epilogue
	geometry       []Arg // how loaders read a and b
	cut            tiling
	aligned        int
	act, alpha     Arg
	part, counters Arg   // of a sum that is cut
	sums           []Arg // of b's columns: of matrix products alone
}

// args returns them in the order of the kernel's parameters.
func (t *tiled) args() []Arg {
	c := &t.cut
	return slices.Concat([]Arg{t.y, t.a, t.b, t.epilogue.bias, t.epilogue.ref}, t.geometry,
		[]Arg{ints(int32(c.m), int32(c.n), int32(c.k), int32(c.parts), int32(c.kPart), int32(t.aligned)),
			t.act, t.alpha, t.part, t.counters}, t.sums)
}

// tiled returns the arguments of the current instruction, a product that is cut so.
func (b *builder) tiled(cut tiling, aligned int, geometry ...Arg) *tiled {
	t := &tiled{y: b.out(0), a: b.in(0), b: b.in(1), epilogue: b.epilogue(), geometry: geometry,
		cut: cut, aligned: aligned, part: null(), counters: null()}
	t.act, t.alpha = b.act()
	if cut.parts > 1 {
		t.part = b.parts(cut.m, &cut)
		t.counters = ptr(b.counters(cut.blocks()))
	}
	return t
}

// parts returns memory for the parts of so many rows of a product.
func (b *builder) parts(rows int, cut *tiling) Arg {
	return ptr(b.scratch(0, int64(cut.parts)*int64(cut.groups)*int64(rows)*int64(cut.n)*4))
}

// launchTiled appends the launch of a tiled product.
func (b *builder) launchTiled(kernel string, t *tiled) *Launch {
	c := &t.cut
	l := b.launch(kernel+b.suffix(*c), [3]uint32{uint32(ceil(c.m, c.rows)), uint32(ceil(c.n, c.cols)), uint32(c.parts * c.groups)},
		c.threads, t.args()...)
	l.cut = c
	return l
}

// Bits of the aligned field of struct Cut: rows of a or b begin at multiples of
// 16 bytes.
const (
	alignedA = 1
	alignedB = 2
)

// matMulTiling is how the current matrix product is cut.
func (b *builder) matMulTiling() tiling {
	k := b.shape(0)[1]
	if b.ins.Attrs.TransA {
		k = b.shape(0)[0]
	}
	return b.tiling(b.outShape(0)[0], b.outShape(0)[1], k, 1)
}

// matMul plans a matrix product.
func (b *builder) matMul() {
	t := b.matrices(b.matMulTiling())
	b.launchMatMul(t).Product.Epilogue = b.separate(t.cut.m, t.cut.n)
}

// matrices returns the arguments of the current instruction, a matrix product.
func (b *builder) matrices(cut tiling) *tiled {
	aligned := flag(b.shape(0)[1]%4 == 0)*alignedA | flag(b.shape(1)[1]%4 == 0)*alignedB
	t := b.tiled(cut, aligned)
	t.sums = []Arg{null()}
	return t
}

// launchMatMul appends the launch of a matrix product.
func (b *builder) launchMatMul(t *tiled) *Launch {
	a := &b.ins.Attrs
	letters := [2]string{"n", "t"}
	l := b.launchTiled("matmul_"+letters[flag(a.TransA)]+letters[flag(a.TransB)], t)
	l.Product = &Product{M: t.cut.m, N: t.cut.n, K: t.cut.k, TransA: a.TransA, TransB: a.TransB,
		Y: t.y.Ref, A: t.a.Ref, B: t.b.Ref, Bias: t.epilogue.bias.Ref,
		OnlyBias: a.Bias && a.Act == ir.NoAct}
	return l
}

// separate returns the launch that applies the epilogue to a product in place.
func (b *builder) separate(m, n int) *Launch {
	a := &b.ins.Attrs
	if !a.Bias && a.Act == ir.NoAct {
		return nil
	}
	e := b.epilogue()
	act, alpha := b.act()
	return &Launch{Kernel: "epilogue", Grid: b.eachGrid(m * n), Block: [3]uint32{threads, 1, 1}, Instr: b.i,
		Args: []Arg{b.out(0), e.bias, e.ref, i64(m * n), i32(n), act, alpha}}
}

// conv plans convolutions: as products of what the loaders of conv.cuh read, or
// directly when groups are too narrow for tiles.
func (b *builder) conv() {
	a := &b.ins.Attrs
	var x, y []int
	switch b.ins.Op {
	case ir.Conv2D:
		x, y = b.shape(0), b.outShape(0)
	case ir.Conv2DDX:
		x, y = b.outShape(0), b.shape(1)
	case ir.Conv2DDW:
		x, y = b.shape(0), b.shape(1)
	}
	g := convGeometry(x, y, a)
	cg, og := x[3]/a.Groups, y[3]/a.Groups
	pixels, taps := y[0]*y[1]*y[2], a.Win.KH*a.Win.KW
	if a.Groups > 1 && min(cg, og) < 8 {
		b.convDirect(g, x, y, pixels)
		return
	}
	// 16-byte loads follow channels.
	cAligned, oAligned := cg%4 == 0, og%4 == 0
	switch b.ins.Op {
	case ir.Conv2D:
		cut := b.tiling(pixels, og, taps*cg, a.Groups)
		b.launchTiled("conv2d", b.tiled(cut, flag(cAligned)*alignedA|flag(oAligned)*alignedB, g))
	case ir.Conv2DDX:
		cut := b.tiling(x[0]*x[1]*x[2], cg, taps*og, a.Groups)
		b.launchTiled("conv2d_dx", b.tiled(cut, flag(oAligned)*(alignedA|alignedB), g))
	case ir.Conv2DDW:
		cut := b.tiling(taps*cg, og, pixels, a.Groups)
		b.launchTiled("conv2d_dw", b.tiled(cut, flag(cAligned)*alignedA|flag(oAligned)*alignedB, g))
	}
}

func (b *builder) convDirect(g Arg, x, y []int, pixels int) {
	act, alpha := b.act()
	e := b.epilogue()
	switch n := ir.Size(b.outShape(0)); b.ins.Op {
	case ir.Conv2D:
		b.each("conv2d_direct", n, b.out(0), b.in(0), b.in(1), e.bias, e.ref, g, i64(n), act, alpha)
	case ir.Conv2DDX:
		b.each("conv2d_dx_direct", n, b.out(0), b.in(0), b.in(1), e.bias, e.ref, g, i64(n), act, alpha)
	case ir.Conv2DDW:
		b.columns("conv2d_dw_direct", pixels, n, 1, 0, b.out(0), b.in(0), b.in(1), g, i64(pixels), i32(n))
	}
}

// convGeometry is struct Conv in conv.cuh: x [B,H,W,C], y [B,OH,OW,O].
func convGeometry(x, y []int, a *ir.Attrs) Arg {
	w := a.Win
	v := []int32{int32(x[1]), int32(x[2]), int32(x[3]), int32(y[1]), int32(y[2]), int32(y[3]),
		int32(w.KH), int32(w.KW), int32(w.SH), int32(w.SW), int32(w.DH), int32(w.DW), int32(w.PT), int32(w.PL),
		int32(x[3] / a.Groups), int32(y[3] / a.Groups)}
	for _, d := range []int{y[1] * y[2], y[2], x[1] * x[2], x[2], x[3] / a.Groups, y[3] / a.Groups, w.KW, w.SH, w.SW} {
		v = append(v, divisor(d)...)
	}
	return ints(v...)
}

// divisor is struct Divisor in common.cuh: d, and the factor and shift with which
//
//	n/d = n·factor >> (32 + shift)   for d > 1 and 0 ≤ n < 2^31.
func divisor(d int) []int32 {
	if d == 1 {
		return []int32{1, 0, 0}
	}
	log := bits.Len(uint(d - 1)) // least with d ≤ 2^log
	factor := (uint64(1)<<(31+log) + uint64(d) - 1) / uint64(d)
	return []int32{int32(d), int32(uint32(factor)), int32(log - 1)}
}
