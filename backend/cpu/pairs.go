package cpu

import (
	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/meet"
)

// Two sums over the rows of each column, for batch normalisation. Rows are cut into chunks,
// and a chunk into lanes: with few columns fold rows are taken as one, and each of them has
// a lane of its own. Within a lane, of about laneRows elements, sums are in float32; lanes,
// and then chunks, are put together in float64, in order. So rounding grows with the length
// of a lane, and not with that of the matrix.

// laneRows is the most elements that a lane has.
const laneRows = 64

// pairBlock is the number of neighbouring elements of a wide row that are taken down a
// chunk before the next ones: their sums stay in the first level cache.
const pairBlock = 512

// A pair is what to sum up.
type pair interface {
	// add adds rows of len(a) elements to the lanes a and b, which begin with zeros: the
	// first is at element at, the others stride apart. The lanes begin at element first.
	add(a, b []float32, first, at, rows, stride int)
	// join adds a lane of n elements for each column, which begin at element first, to v.
	join(v []float64, first, n int, a, b []float32)
}

// columnPairs returns the step that writes to v the two sums of each column.
func (c *call) columnPairs(rows, cols int, v []float64, p pair) step {
	f := lanesOf(rows, cols)
	wide := f * cols
	c.told.folded(f)
	per := laneRows * f
	chunks := ceilDiv(rows, per)
	parts, lanes := make([][]float64, chunks), make([][]float32, c.pool.Threads())
	for i := range parts {
		parts[i] = v // a single chunk needs no memory of its own
		if i > 0 {
			parts[i] = meet.PointOf(c.p, c.ins).Vector()
		}
	}
	for i := range lanes {
		lanes[i] = make([]float32, 2*wide)
	}
	pass := c.parallel(chunks, rows*cols, func(worker, i int) {
		lo, n := i*per, min(per, rows-i*per)
		a, b := lanes[worker][:wide], lanes[worker][wide:]
		clear(lanes[worker])
		first, whole, rest := lo*cols, n/f, n%f
		for from := 0; from < wide && whole > 0; from += pairBlock {
			to := min(from+pairBlock, wide)
			p.add(a[from:to], b[from:to], first+from, first+from, whole, wide)
		}
		if rest > 0 {
			p.add(a[:rest*cols], b[:rest*cols], first, first+whole*wide, 1, wide)
		}
		joinLanes(parts[i], p, first, n, f, a, b)
	})
	return func() {
		pass()
		for _, x := range parts[1:] {
			if err := meet.Merge(v, x); err != nil {
				panic("cpu: invariant: " + err.Error())
			}
		}
	}
}

// lanesOf returns how many rows are taken as one: not so many that a lane has few elements,
// as joining lanes costs more than calling a loop.
func lanesOf(rows, cols int) int {
	f := min(fold(cols), max(rows/16, 1))
	if f >= 8 {
		f &^= 7
	}
	return f
}

// joinLanes makes v the sums of n rows, of which every f-th is in the same lanes.
func joinLanes(v []float64, p pair, first, n, f int, a, b []float32) {
	meet.SetCount(v, 0)
	cols := len(a) / f
	for k := range min(f, n) {
		at := k * cols
		length := (n - k + f - 1) / f
		p.join(v, first+at, length, a[at:at+cols], b[at:at+cols])
	}
}

// moments are mean and squared distances from it. A lane sums up d = x − s and d², where s
// is its first element: what all of x have in common, however large, is gone before it is
// rounded. Of n elements
//
//	mean = s + Σd/n,  Σ(x − mean)² = Σd² − (Σd)²/n
//
// Error, relative to Σ(x − s)² of the lane: γ_(n+2) for the squares, of which, s being one
// of the elements, at most n+1 times those around the mean; typically twice.
type moments struct{ x []float32 }

func (p *moments) add(a, b []float32, first, at, rows, stride int) {
	for range rows {
		vec.AddMoments(a, b, p.x[at:], p.x[first:])
		at += stride
	}
}

func (p *moments) join(v []float64, first, n int, a, b []float32) {
	means, squares := meet.Channels(v)
	x := p.x[first : first+len(a)]
	b, means, squares = b[:len(a)], means[:len(a)], squares[:len(a)]
	before, length := meet.Count(v), float64(n)
	inverse, share := 1/length, length/(before+length)
	both := before * share
	for i, sum := range a {
		sum := float64(sum)
		mean := float64(x[i]) + float64(sum*inverse)
		square := float64(b[i]) - float64(sum*sum)*inverse
		if square < 0 {
			square = 0 // and a NaN stays
		}
		if before > 0 {
			d := mean - means[i]
			mean = means[i] + float64(d*share)
			square += squares[i] + float64(d*d)*both
		}
		means[i], squares[i] = mean, square
	}
	meet.SetCount(v, int(before)+n)
}

// products are Σ dy and Σ dy·(x − mean). Error: γ_n·Σ|dy| and γ_(n+2)·Σ|dy·(x − mean)|
// of a lane of n.
type products struct {
	x, dy   []float32
	center  []float32 // the means, for as many rows as are taken as one
	columns int
}

func (p *products) add(a, b []float32, first, at, rows, stride int) {
	center := p.center[first%p.columns:]
	for range rows {
		vec.AddDots(a, b, p.dy[at:], p.x[at:], center)
		at += stride
	}
}

func (p *products) join(v []float64, _, n int, a, b []float32) {
	sums, dots := meet.Channels(v)
	b, sums, dots = b[:len(a)], sums[:len(a)], dots[:len(a)]
	before := meet.Count(v)
	for i, sum := range a {
		if before == 0 {
			sums[i], dots[i] = float64(sum), float64(b[i])
			continue
		}
		sums[i] += float64(sum)
		dots[i] += float64(b[i])
	}
	meet.SetCount(v, int(before)+n)
}
