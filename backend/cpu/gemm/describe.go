package gemm

import (
	"fmt"
	"strings"
)

// Describe says how the product is computed, for people: its sizes, the tiles of the
// micro-kernels (rows by columns of a panel), the chunks that threads take, and where
// a and b are read, with their row lengths.
func (g *MatMul) Describe() string {
	s := []string{g.product(), g.path.tilesText(g.n, ceilDiv(g.m, g.blocks), g.path.nextPanel), g.chunks()}
	if runs := ceilDiv(ceilDiv(g.k, g.splits), kcMax); runs > 1 {
		s = append(s, fmt.Sprintf("k in %d runs", runs))
	}
	return strings.Join(append(s, g.readsA(), g.readsB()), "; ")
}

// product names the factors and sizes.
func (g *MatMul) product() string {
	name := "A·B"
	switch {
	case g.transA && g.transB:
		name = "Aᵀ·Bᵀ"
	case g.transA:
		name = "Aᵀ·B"
	case g.transB:
		name = "A·Bᵀ"
	}
	return fmt.Sprintf("%s m %d n %d k %d", name, g.m, g.n, g.k)
}

// chunks says how the product is cut, each number at most.
func (g *MatMul) chunks() string {
	rows := ceilDiv(g.m, g.blocks)
	cols := min(ceilDiv(ceilDiv(g.n, g.path.width), g.groups)*g.path.width, g.n)
	text := fmt.Sprintf("%s of %dx%d", count(g.blocks*g.groups*g.splits, "chunk"), rows, cols)
	if g.splits > 1 {
		text += fmt.Sprintf(" with 1/%d of k, %s of partial sums", g.splits, kib((g.splits-1)*g.m*g.n))
	}
	return text
}

// readsA says where a is read.
func (g *MatMul) readsA() string {
	switch {
	case g.strips && g.copying == copyOnce:
		return "a copied once to strips"
	case g.strips:
		return "a copied by chunk to strips"
	case g.copying == copyOnce:
		return fmt.Sprintf("a copied once, ld %d to %d", g.k, g.sharedLd)
	case g.copying == copyBlock:
		return fmt.Sprintf("a copied by chunk, ld %d to %d", g.k, g.aLdBlock)
	}
	return "a in place"
}

// readsB says where b is read: by the whole panels that chunks begin with.
func (g *MatMul) readsB() string {
	switch rows := ceilDiv(g.m, g.blocks); {
	case g.packing:
		return fmt.Sprintf("b packed once, %s", kib(g.sharedB))
	case !g.bInPlace(rows, min(g.n, g.path.width)):
		by := "chunk"
		if g.packsOnTheWay(min(g.n, g.path.width)) {
			by = "the first tile of each chunk"
		}
		return fmt.Sprintf("b packed by %s, %s a panel", by, kib(min(g.k, kcMax)*g.path.panelWidth(min(g.n, g.path.width))))
	case g.bInPlace(rows, (g.n-1)%g.path.width+1):
		return fmt.Sprintf("b in place, ld %d", g.n)
	}
	return fmt.Sprintf("b in place, ld %d, its last panel packed", g.n)
}

// tilesText names the tiles that cover so many columns and rows, where next says how many
// columns a panel takes of those that are left.
func (p *path) tilesText(cols, rows int, next func(left int) int) string {
	var all []string
	for cols > 0 {
		n := next(cols)
		panel := p.panelFor(n)
		text := fmt.Sprintf("%dx%d", ceilDiv(rows, panel.tall.tiles(rows)), panel.width)
		if len(all) == 0 || all[len(all)-1] != text {
			all = append(all, text)
		}
		cols -= n
	}
	return "tiles " + strings.Join(all, " and ")
}

// onePanel is for tilesText where one panel takes all columns behind the whole ones.
func (p *path) onePanel(left int) int { return min(p.width, left) }

// count is a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// kib is the size of so many elements, rounded up.
func kib(n int) string { return fmt.Sprintf("%d KiB", ceilDiv(n*floatSize, 1<<10)) }
