package gemm

import "unsafe"

// transform is one call of a kernel that maps grids of n by n pixels to 16 planes
// (lift) or back (drop), for a row of tiles and some channels: the generator has
// the formulas. Element c of pixel (i,j) of tile t, and of plane p, is at
//
//	grid[i] + j·pixel + t·(bytes+gridStep) + 4c
//	planes  + p·plane + t·(bytes+planesStep) + 4c
//
// All distances are in bytes.
type transform struct {
	grid              [4]unsafe.Pointer
	pixel, gridStep   int
	planes            unsafe.Pointer
	plane, planesStep int
	tiles, bytes      int // ≥ 1; bytes is a multiple of a vector's
	flags             int // of drop2: the steps of an epilogue
	bias              unsafe.Pointer
	ref               [2]unsafe.Pointer // laid out as grid; must be set
	// Of dropMax, whose tiles have one element where those of drop2 have four: the
	// maxima are at grid[0], without steps between tiles, and with flagArg their
	// indices at arg. The first index of the first tile is index/4, with that of the
	// next tile bytes+gridStep more, and others of a tile are apart from it.
	arg   unsafe.Pointer
	index int
	apart [3]int32
}

// flagArg wants the indices of maxima.
const flagArg = flagReLUGrad << 1

// transforms are the kernels of a path, for channels that are a multiple of
// lanes.
type transforms struct {
	lift4, lift2, lift3, drop2, drop3, dropMax func(*transform)
	lanes                                      int
}

// genericTransforms are the portable twins.
func genericTransforms() transforms {
	return transforms{
		lift4:   func(t *transform) { t.lift(4, genericLift4) },
		lift2:   func(t *transform) { t.lift(2, genericLift2) },
		lift3:   func(t *transform) { t.lift(3, genericLift3) },
		drop2:   func(t *transform) { t.drop(2, genericDrop2) },
		drop3:   func(t *transform) { t.drop(3, genericDrop3) },
		dropMax: (*transform).dropMax,
		lanes:   genericSize,
	}
}

type quad [4]float32

func genericLift4(x quad) quad {
	return quad{x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]}
}

func genericLift2(x quad) quad { return quad{x[0], x[0] + x[1], x[0] - x[1], x[1]} }

func genericLift3(x quad) quad {
	s := x[0] + x[2]
	return quad{x[0], (s + x[1]) / 2, (s - x[1]) / 2, x[2]}
}

func genericDrop2(x quad) quad { return quad{x[0] + (x[1] + x[2]), (x[1] - x[2]) - x[3]} }

func genericDrop3(x quad) quad {
	h := (x[1] + x[2]) / 2
	return quad{x[0] + h, (x[1] - x[2]) / 2, h - x[3]}
}

// each calls f with the offsets in grid and planes of every element.
func (t *transform) each(f func(grid, planes int)) {
	for i := range t.tiles {
		for c := 0; c < t.bytes; c += floatSize {
			f(i*(t.bytes+t.gridStep)+c, i*(t.bytes+t.planesStep)+c)
		}
	}
}

func (t *transform) lift(n int, f func(quad) quad) {
	t.each(func(grid, planes int) {
		var rows [4]quad
		for i := range n {
			var x quad
			for j := range n {
				x[j] = *load(t.grid[i], grid+j*t.pixel)
			}
			rows[i] = f(x)
		}
		for j := range 4 {
			out := f(quad{rows[0][j], rows[1][j], rows[2][j], rows[3][j]})
			for i, v := range out {
				*load(t.planes, planes+(4*i+j)*t.plane) = v
			}
		}
	})
}

func (t *transform) drop(n int, f func(quad) quad) {
	t.each(func(grid, planes int) {
		rows := t.dropRows(planes, f)
		for j := range n {
			out := f(quad{rows[0][j], rows[1][j], rows[2][j], rows[3][j]})
			for i, v := range out[:n] {
				*load(t.grid[i], grid+j*t.pixel) = t.finish(v, i, grid+j*t.pixel, grid%(t.bytes+t.gridStep))
			}
		}
	})
}

// dropRows applies f to the rows of the planes.
func (t *transform) dropRows(planes int, f func(quad) quad) (rows [4]quad) {
	for i := range rows {
		var x quad
		for j := range x {
			x[j] = *load(t.planes, planes+(4*i+j)*t.plane)
		}
		rows[i] = f(x)
	}
	return rows
}

// dropMax is drop with genericDrop2, of which it stores the largest output.
func (t *transform) dropMax() {
	to := 0
	t.each(func(grid, planes int) {
		rows := t.dropRows(planes, genericDrop2)
		var y [2]quad
		for j := range y {
			y[j] = genericDrop2(quad{rows[0][j], rows[1][j], rows[2][j], rows[3][j]})
		}
		first := int32((t.index + grid) / floatSize)
		best, arg := float32(0), first
		for i, v := range [4]float32{y[0][0], y[1][0], y[0][1], y[1][1]} {
			v = t.finish(v, 0, 0, grid%(t.bytes+t.gridStep))
			if i == 0 {
				best = v
			} else if v > best || v != v {
				best, arg = v, first+t.apart[i-1]
			}
		}
		*load(t.grid[0], to) = best
		if t.flags&flagArg != 0 {
			*(*int32)(unsafe.Add(t.arg, to)) = arg
		}
		to += floatSize
	})
}

// finish applies the epilogue to an element of grid row i.
func (t *transform) finish(v float32, i, offset, channel int) float32 {
	if t.flags&flagAccumulate != 0 {
		v += *load(t.grid[i], offset)
	}
	if t.flags&flagBias != 0 {
		v += *load(t.bias, channel)
	}
	if t.flags&flagReLU != 0 {
		v = max(v, 0)
	}
	if t.flags&flagReLUGrad != 0 && !(*load(t.ref[i], offset) > 0) {
		v = 0
	}
	return v
}
