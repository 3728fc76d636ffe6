package web

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
)

// A jobModel is what templates show of a job.
type jobModel struct {
	*server.JobView
	View  *server.View
	Whole bool // its own page
	Join  string

	Spec, Log       string // "": there is none
	SpecCut, LogCut bool

	curve *jobs.Curve // from disk
}

// Curve returns the job's curve, or nil.
func (m *jobModel) Curve() *jobs.Curve { return cmp.Or(m.JobView.Curve, m.curve) }

// Charts returns the panels of the curve.
func (m *jobModel) Charts() []chart { return charts(m.Curve()) }

// Running reports whether the job has begun to train and not ended.
func (m *jobModel) Running() bool { return !m.Started.IsZero() && !wire.Ended(m.State) }

// Lacks reports whether the job waits, and has fewer workers than it wants to begin with.
func (m *jobModel) Lacks() bool {
	waits := m.State == wire.JobQueued || m.State == wire.JobWaiting
	return waits && m.Workers < m.Wants
}

// Waited returns the seconds since the job was made.
func (m *jobModel) Waited() float64 {
	return math.Max(m.View.Time.Sub(m.Created).Seconds(), 0)
}

// Share returns the job's progress within its bounds.
func (m *jobModel) Share() float64 {
	if !(m.Progress > 0) {
		return 0
	}
	return math.Min(m.Progress, 1)
}

// A named value, for people.
type namedValue struct {
	Name  string
	Value wire.Value
}

// Values returns the latest loss and metrics: of training, then of validation,
// then of the test.
func (m *jobModel) Values() []namedValue {
	out := make([]namedValue, 0, len(m.Latest))
	for _, name := range slices.SortedFunc(maps.Keys(m.Latest), compareLatest) {
		out = append(out, namedValue{name, m.Latest[name]})
	}
	return out[:min(len(out), maxValues)]
}

// maxValues bounds the values of a job that are shown.
const maxValues = 12

func compareLatest(a, b string) int {
	split := func(name string) (int, string) {
		if rest, ok := strings.CutPrefix(name, "val_"); ok {
			return 1, rest
		}
		if rest, ok := strings.CutPrefix(name, "test_"); ok {
			return 2, rest
		}
		return 0, name
	}
	i, x := split(a)
	j, y := split(b)
	return cmp.Or(cmp.Compare(i, j), compareNames(x, y))
}

// Results returns what matters of a job that has ended: the values of the test,
// or else of validation, or else of training.
func (m *jobModel) Results() []namedValue {
	all := m.Values()
	for _, prefix := range []string{"test_", "val_", ""} {
		var out []namedValue
		for _, v := range all {
			if strings.HasPrefix(v.Name, prefix) {
				out = append(out, v)
			}
		}
		if len(out) > 0 {
			return out[:min(len(out), 2)]
		}
	}
	return nil
}

// A bill is an account with what follows from it.
type bill struct {
	backend.Account
	backend.Worth
	Total backend.WorkerAccount
}

// Bill returns the account of the job, or nil when it has none.
func (m *jobModel) Bill() *bill {
	if m.Account == nil || len(m.Account.Workers) == 0 {
		return nil
	}
	b := &bill{Account: *m.Account, Worth: m.Account.Worth()}
	for _, w := range b.Workers {
		b.Total.Rows += w.Rows
		b.Total.Compute += w.Compute
		b.Total.Wait += w.Wait
		b.Total.Comm += w.Comm
		b.Total.Sent += w.Sent
		b.Total.Received += w.Received
	}
	b.Workers = b.Workers[:min(len(b.Workers), maxWorkers)]
	return b
}

// Many is how many workers took part: 2, or 2.5 when one of three was lost half-way.
func (b *bill) Many() string {
	if whole := math.Round(b.Members); math.Abs(b.Members-whole) < 0.1 {
		return count(int64(whole))
	}
	return fmt.Sprintf("%.1f", b.Members)
}

// shares of a worker's time, for its bar.
type shares struct{ Compute, Wait, Comm float64 }

// Known reports whether there was any time.
func (s shares) Known() bool { return s.Compute+s.Wait+s.Comm > 0 }

// After returns where the share that follows begins.
func (s shares) After(n int) float64 {
	return []float64{0, s.Compute, s.Compute + s.Wait}[n]
}

// sharesOf normalises times to shares; what is not a time is none.
func sharesOf(compute, wait, comm float64) shares {
	total := compute + wait + comm
	if !(total > 0) || !finite(total) || compute < 0 || wait < 0 || comm < 0 {
		return shares{}
	}
	return shares{compute / total, wait / total, comm / total}
}
