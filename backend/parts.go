package backend

// MinShards is the least number of shards into which deterministic training cuts
// a step: enough for a few workers to share, few enough for large products.
const MinShards = 8

// maxShards is more than a step can use.
const maxShards = 1 << 30

// ShardsFor returns the number of shards of a deterministic step that
// accumulates so many batches: the least power of two that is at least both.
func ShardsFor(accumulate int) int {
	n := MinShards
	for n < accumulate && n < maxShards {
		n *= 2
	}
	return n
}

// Shard returns part i of a step's rows cut into n shards as equal as can be. The
// step takes rows first ≤ r < first+rows of the epoch's order. A shard has no
// rows when there are more shards than rows; it then counts as nothing.
func Shard(at StepAt, first, rows, i, n int) Part {
	lo, hi := rows*i/n, rows*(i+1)/n
	return Part{
		First: first + lo, Rows: hi - lo,
		Weight: float32(hi-lo) / float32(rows),
		Tick:   tick(at, i, n),
	}
}

// RunShards returns how many of n shards each gradient run of a step has, where parts meet
// (Replica.Meets): the shards are shared out evenly among as many runs as a step of
// accumulate batches may need in a tree, the least power of two.
func RunShards(accumulate, n int) int {
	runs := 1
	for runs < accumulate {
		runs *= 2
	}
	return max(n/runs, 1)
}

// ShardOfRun is Shard where parts meet: none has rows of two gradient runs. The rows are cut
// into runs of size rows, and each of these into so many shards: see RunShards. With a
// single run it is Shard.
func ShardOfRun(at StepAt, first, rows, size, perRun, i, n int) Part {
	from := min(i/perRun*size, rows)
	part := Shard(at, first+from, min(size, rows-from), i%perRun, perRun)
	if part.Rows == 0 {
		return Part{First: first + from, Tick: tick(at, i, n)}
	}
	part.Weight = float32(part.Rows) / float32(rows)
	part.Tick = tick(at, i, n)
	return part
}

// tick returns the tick of shard i of n.
func tick(at StepAt, i, n int) int32 { return int32(at.Done*int64(n) + int64(i)) }

// Share returns the rows lo ≤ r < hi of a step that member i of a group takes,
// when the step has so many rows and the members' speeds are as weights, none
// negative and not all 0.
func Share(rows int, weights []int, i int) (lo, hi int) {
	total, before := 0, 0
	for k, w := range weights {
		total += w
		if k < i {
			before += w
		}
	}
	return rows * before / total, rows * (before + weights[i]) / total
}

// Batches cuts rows lo ≤ r < hi of a step into parts of at most size rows. The
// step takes rows first ≤ r < first+rows of the epoch's order. Tick is the
// step's number times ticks, plus tick for the first part, tick+1 for the second
// and so on.
func Batches(at StepAt, first, rows, lo, hi, size, tick, ticks int) []Part {
	var parts []Part
	for ; lo < hi; lo += size {
		n := min(size, hi-lo)
		parts = append(parts, Part{
			First: first + lo, Rows: n,
			Weight: float32(n) / float32(rows),
			Tick:   int32(at.Done*int64(ticks) + int64(tick+len(parts))),
		})
	}
	return parts
}
