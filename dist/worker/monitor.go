package worker

import (
	"sync"
	"time"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock"
)

// StuckAfter is how long nothing of a worker may move before it counts as stuck. It says that it
// is alive every second while it has a coordinator, and tries to reach one every few
// seconds while it has none; an attempt may take as long as a network takes to fail.
const StuckAfter = time.Minute

// A Monitor lets others look at a worker while Run has it. The zero value is ready; it
// is for one Run. Its methods may be called concurrently.
type Monitor struct {
	Clock clock.Clock // nil: clock.System

	mu      sync.Mutex
	view    View
	account *account // nil: Run has not begun
}

// A View is a worker at a moment.
type View struct {
	ID, Name, Version, Backend, Device string

	Connected bool // a coordinator has let it in
	Leaving   bool // it goes when what it has begun is done
	Phase     string
	Job       string // that is open; "": none

	// Since Run began, over all jobs.
	Steps       int64 // of the optimiser
	Cost        wire.Cost
	Connections int64 // times that a coordinator has let it in
	Jobs        int64 // that were opened, also again
	Failures    int64 // of what the coordinator asked for

	Moved time.Duration // when something of it moved last, by Clock
}

// View returns the worker as it is.
func (m *Monitor) View() View {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.view
	v.Phase = idle
	if m.account != nil {
		v.Phase, v.Steps, v.Cost = m.account.all()
	}
	return v
}

// Elapsed is the time by which Moved goes.
func (m *Monitor) Elapsed() time.Duration {
	if m.Clock == nil {
		return clock.System{}.Elapsed()
	}
	return m.Clock.Elapsed()
}

// note changes the View, and says that the worker moves.
func (m *Monitor) note(change func(v *View)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.view)
	m.view.Moved = m.Elapsed()
}

// moves says that the worker moves.
func (m *Monitor) moves() { m.note(func(*View) {}) }

// begin says what worker it is.
func (m *Monitor) begin(w *worker) {
	m.note(func(v *View) {
		v.ID, v.Name, v.Version, v.Backend, v.Device = w.id, w.Name, w.Version, w.Backend, w.Device
		m.account = &w.account
	})
}

// connected says whether a coordinator has the worker.
func (m *Monitor) connected(yes bool) {
	m.note(func(v *View) {
		v.Connected = yes
		if yes {
			v.Connections++
		}
	})
}

// opened says which job is open; "": none is.
func (m *Monitor) opened(job string) {
	m.note(func(v *View) {
		v.Job = job
		if job != "" {
			v.Jobs++
		}
	})
}
