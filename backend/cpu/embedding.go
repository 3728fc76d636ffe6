package cpu

// embedding -- op Embedding: y[i] = table[ids[i]], zeros for an id outside [0,V)
func embedding(c *call) step {
	y, table, ids := c.out(0), c.in(0), c.ints(1)
	vocabulary, dim := c.shape(0)[0], c.shape(0)[1]
	return c.rows(len(ids), dim, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := y[i*dim : (i+1)*dim]
			if id := int(ids[i]); id >= 0 && id < vocabulary {
				copy(row, table[id*dim:])
			} else {
				clear(row)
			}
		}
	})
}

// often is the most rows of dy that are added up in float32 alone.
const often = 128

// embeddingGrad -- op EmbeddingGrad: dtable[id] = Σ dy[i] over ids[i] = id
// sums     f32, in order of i; for an id with more than 128 rows, of each 128, and
// then of these sums in f64
// error    γ_129 Σ|dy|, however often an id comes
//
// A chunk is a range of the vocabulary; each reads all ids.
func embeddingGrad(c *call) step {
	const ranges = 16
	g := &scatter{dtable: c.out(0), ids: c.ints(0), dy: c.in(1),
		vocabulary: c.ins.Attrs.Dims[0], dim: c.ins.Attrs.Dims[1]}
	if n := len(g.ids); n > often {
		g.count, g.place = make([]int32, g.vocabulary), make([]int32, g.vocabulary)
		g.total = make([]float64, min(n/(often+1), g.vocabulary)*g.dim)
	}
	per := ceilDiv(g.vocabulary, ranges)
	pass := c.parallel(ceilDiv(g.vocabulary, per), len(g.dtable)+len(g.dy), func(_, chunk int) {
		g.sum(chunk*per, min((chunk+1)*per, g.vocabulary))
	})
	return func() {
		g.find()
		pass()
	}
}

// A scatter is what a gradient of an embedding works on.
type scatter struct {
	dtable, dy      []float32
	ids             []int32
	vocabulary, dim int

	// nil when no id can come more than 128 times.
	count []int32   // [V]; how often an id comes, then how often it still will
	place []int32   // [V]; the row of total that an id has which comes so often, or -1
	total []float64 // sums of 128 rows each

	places int32 // how many ids come often
}

// find counts the ids, and gives those a place in total that come often.
func (g *scatter) find() {
	if g.count == nil {
		return
	}
	clear(g.count)
	for _, id := range g.ids {
		if id >= 0 && int(id) < g.vocabulary {
			g.count[id]++
		}
	}
	g.places = 0
	for id, count := range g.count {
		g.place[id] = -1
		if count > often {
			g.place[id] = g.places
			g.places++
		}
	}
	clear(g.total[:int(g.places)*g.dim])
}

// sum computes the rows lo ≤ id < hi of dtable.
func (g *scatter) sum(lo, hi int) {
	dim := g.dim
	clear(g.dtable[lo*dim : hi*dim])
	for i, id := range g.ids {
		if int(id) < lo || int(id) >= hi {
			continue
		}
		row := g.dtable[int(id)*dim : (int(id)+1)*dim]
		for d, v := range g.dy[i*dim : (i+1)*dim] {
			row[d] += v
		}
		if g.places == 0 || g.place[id] < 0 {
			continue
		}
		if g.count[id]--; g.count[id]%often == 0 {
			g.carry(row, g.total[int(g.place[id])*dim:][:dim], g.count[id] == 0)
		}
	}
}

// carry moves a row's sum to its total, and the total back after the last.
func (g *scatter) carry(row []float32, total []float64, last bool) {
	for d, v := range row {
		total[d] += float64(v)
		row[d] = 0
		if last {
			row[d] = float32(total[d])
		}
	}
}
