package backend

// A Worth says how many times as fast as one worker alone several were.
type Worth struct {
	// Members is how many workers took part, as a mean over the run: 2.5 when one of
	// three was lost half-way.
	Members float64 `json:"members"`
	// Alone is the speed of the fastest of them alone, in rows per second, as its own
	// time in the run tells; 0: nothing is known.
	Alone float64 `json:"alone"`
	// SpeedUp is how many times as fast as that they were together, at most Members, and
	// Efficiency what that is per worker. 0: that cannot be told.
	SpeedUp    float64 `json:"speed_up"`
	Efficiency float64 `json:"efficiency"`
	// Doubt is why it cannot be told; "": it can, or nothing is known.
	Doubt Doubt `json:"doubt,omitempty"`
	// ByRun and ByProbe are the speeds of the worker that was probed, in rows per second:
	// by its own time in the run, and by the probe before it; 0: there was none.
	ByRun   float64 `json:"by_run,omitempty"`
	ByProbe float64 `json:"by_probe,omitempty"`
}

// Bounds returns the speed-up by the run and by the probe, the lower one first: equal
// when there was no probe. The probe has no bound: 3 of 2 workers says that something
// went on beside it.
func (w Worth) Bounds(a Account) (low, high float64) {
	if w.Alone == 0 {
		return 0, 0
	}
	run := a.RowsPerSecond() / w.Alone
	probe := run
	if w.ByProbe > 0 {
		probe *= w.ByRun / w.ByProbe
	}
	return min(run, probe), max(run, probe)
}

// Cause says in words what may have made run and probe differ. A probe that is slower than
// the run was disturbed; one that is faster tells of a run that was, or of what a
// worker loses because it is one of several.
func (w Worth) Cause() string {
	switch {
	case w.Doubt != DoubtProbe:
		return ""
	case w.ByProbe < w.ByRun:
		return "something else kept the machine busy before the run"
	}
	return "in the run something else kept the machine busy, or the workers are in each other's way, " +
		"or a share of a batch is too small to be computed as fast as a whole one"
}

// A Doubt is why a speed-up cannot be told.
type Doubt string

// The doubts.
const (
	// DoubtProbe: the worker that was probed was much faster or slower then than in the
	// run; Cause says why that may be.
	DoubtProbe Doubt = "probe"
	// DoubtRows: the accounts of the workers are not of the whole run.
	DoubtRows Doubt = "rows"
	// DoubtShort: the run is too short to tell.
	DoubtShort Doubt = "short"
)

const (
	// maxDoubt is how many times as fast as in the run a worker may be in the probe, or
	// the other way round: short probes differ by less on a machine that does nothing
	// else, and more would change what is said of two workers.
	maxDoubt = 1.25
	// leastSeconds of a run, a probe's, are those from which anything is said.
	leastSeconds = 0.2
	// leastRows is the share of the rows that the accounts must cover.
	leastRows = 0.9
	// leastTime is the share of the run after which a worker's own speed counts.
	leastTime = 0.1
)

// Worth compares the run with what one worker would have taken for it. Of R rows in T
// seconds, worker i had R[i], and spent C[i] seconds computing, of them U[i] on updates
// that all made alike, in M[i] seconds as a member. Alone it would have had all rows,
// each at the price that it paid for its own, but no more updates:
//
//	alone[i]   = R·(C[i] − U[i])/R[i] + U[i]·T/M[i]
//	speed-up   = min alone[i] / T
//	members    = Σ M[i] / T
//	efficiency = speed-up / members
//
// As alone[i] ≤ Σ C[i] for the fastest, and C[i] ≤ M[i], the speed-up is never more than
// the members. It leaves out what a worker gains when the others do not compete for
// memory, and loses as parts of a batch are smaller than the whole. So a probe checks
// it, one worker that took some steps alone: where that worker's speed in the probe
// and R/alone[i] differ by more than a quarter, nothing is said.
func (a Account) Worth() Worth {
	var w Worth
	best, rows := 0.0, int64(0)
	for _, x := range a.Workers {
		w.Members += x.member(a.Seconds)
		rows += x.Rows
		alone := x.alone(a)
		if alone > 0 && (best == 0 || alone < best) {
			best = alone
		}
		if x.Probed {
			w.ByRun = rate(a.Rows, alone)
		}
	}
	if best == 0 {
		return Worth{}
	}
	w.Members = max(w.Members, 1)
	w.Alone = rate(a.Rows, best)
	if w.ByRun == 0 {
		w.ByRun = w.Alone
	}
	w.ByProbe = a.OneWorker
	switch {
	case a.Seconds < leastSeconds:
		w.Doubt = DoubtShort
	case float64(rows) < leastRows*float64(a.Rows):
		w.Doubt = DoubtRows
	case w.ByProbe > 0 && max(w.ByProbe/w.ByRun, w.ByRun/w.ByProbe) > maxDoubt:
		w.Doubt = DoubtProbe
	default:
		w.SpeedUp = min(best/a.Seconds, w.Members)
		w.Efficiency = w.SpeedUp / w.Members
	}
	return w
}

// member returns for which part of a run of so many seconds the worker took part.
func (x WorkerAccount) member(seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return min((x.Compute+x.Wait+x.Comm)/seconds, 1)
}

// alone returns how many seconds the worker would have taken for all of it; 0 when it was
// not there long enough to tell.
func (x WorkerAccount) alone(a Account) float64 {
	part := x.member(a.Seconds)
	if x.Rows <= 0 || a.Rows <= 0 || part < leastTime {
		return 0
	}
	return float64(a.Rows)/float64(x.Rows)*max(x.Compute-x.Update, 0) + x.Update/part
}

func rate(rows int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(rows) / seconds
}
