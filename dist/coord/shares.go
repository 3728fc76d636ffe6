package coord

import (
	"cmp"
	"slices"

	"github.com/gespann/gespann/dist/wire"
)

const (
	// shareUnits is what the shares of a group add up to, when they follow speeds.
	shareUnits = 1000
	// minMeasure is how many seconds of computing a speed is measured over.
	minMeasure = 0.5
	// worthwhile is how much faster a step has to be expected for new shares.
	worthwhile = 1.1
)

// measure learns a worker's speed from what it has spent so far.
func (w *worker) measure(c wire.Cost) {
	w.cost = c
	seconds, rows := c.Compute-w.measured.Compute, c.Rows-w.measured.Rows
	if seconds < 0 || rows < 0 { // it has begun to count anew
		w.measured = c
		return
	}
	if seconds < minMeasure || rows == 0 {
		return
	}
	now := float64(rows) / seconds
	if w.speed == 0 {
		w.speed = now
	}
	w.speed += (now - w.speed) / 2
	w.measured = c
}

// speeds returns the speed of each, or nil if none is known. One that is not
// known is taken for the mean.
func speeds(crew []*worker) []float64 {
	total, known := 0.0, 0
	for _, w := range crew {
		if w.speed > 0 {
			total, known = total+w.speed, known+1
		}
	}
	if known == 0 {
		return nil
	}
	all := make([]float64, len(crew))
	for i, w := range crew {
		all[i] = cmp.Or(w.speed, total/float64(known))
	}
	return all
}

// shares cuts a step for a crew, as fast as each is: into whole shards when the
// job is deterministic.
func (j *job) shares(crew []*worker) []int {
	units := cmp.Or(j.spec.Shards, max(shareUnits, len(crew)))
	fast := speeds(crew)
	if fast == nil {
		fast = slices.Repeat([]float64{1}, len(crew))
		if j.spec.Shards == 0 {
			units = len(crew)
		}
	}
	return apportion(units, fast)
}

// unfair reports whether other shares would make the group's steps faster by so
// much that it pays to form it anew.
func (j *job) unfair() bool {
	g := j.group
	fast := speeds(g.members)
	if fast == nil || j.m.now-g.formed < j.m.opt.Settle {
		return false
	}
	return duration(g.shares, fast) > worthwhile*duration(j.shares(g.members), fast)
}

// duration returns how long a step takes, in some unit: as long as that of the
// slowest.
func duration(shares []int, speeds []float64) float64 {
	total := 0
	for _, s := range shares {
		total += s
	}
	longest := 0.0
	for i, s := range shares {
		longest = max(longest, float64(s)/float64(total)/speeds[i])
	}
	return longest
}

// apportion cuts units into whole parts in proportion to weights, at least one
// each; there are at least as many units as parts. What is left over goes where
// it shortens the whole most: to the part that is done first with it.
func apportion(units int, weights []float64) []int {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	parts := make([]int, len(weights))
	left := units
	for i, w := range weights {
		parts[i] = max(1, int(float64(units)*w/total))
		left -= parts[i]
	}
	for ; left != 0; left -= sign(left) {
		parts[neediest(parts, weights, left > 0)] += sign(left)
	}
	return parts
}

func sign(n int) int { return cmp.Compare(n, 0) }

// neediest returns which part is done first with one unit more, or last as it is
// and can do with one less.
func neediest(parts []int, weights []float64, more bool) int {
	best, at := 0.0, -1
	for i, p := range parts {
		t := float64(p) / weights[i]
		if more {
			t = -float64(p+1) / weights[i]
		} else if p == 1 {
			continue
		}
		if at < 0 || t > best {
			best, at = t, i
		}
	}
	return at
}
