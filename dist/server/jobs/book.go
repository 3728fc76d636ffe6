package jobs

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock"
	"github.com/gespann/gespann/internal/plain"
)

// keepAttached is how many ended jobs with a driver elsewhere stay in the
// history: nothing but their curve is here.
const keepAttached = 200

// keepCurves is how many curves of ended jobs stay in memory.
const keepCurves = 20

// ErrNoFolder reports that a book keeps no jobs.
var ErrNoFolder = errors.New("this coordinator keeps no jobs: it was started without a folder for them")

// A Book holds all jobs of a coordinator. Its methods may be called concurrently.
// What they change is at once in memory; Flush brings it to disk, except that
// Submit and Prune do that themselves.
type Book struct {
	folder string // "": nothing on disk
	lock   *os.File
	clock  clock.Clock

	disk sync.Mutex // held while writing below the folder; taken before mu

	mu      sync.Mutex
	entries map[string]*entry
	order   int64
	// finished counts the jobs that have ended.
	finished int64
	changed  chan struct{} // closed at the next change
	lastErr  error         // of the latest Flush
}

// An entry is a job in memory.
type entry struct {
	Record
	running                bool          // it is, since runs
	runs                   time.Duration // as the clock's Elapsed
	curve                  *Curve        // does not change; nil: on disk
	spec                   []byte        // of a job that was not submitted; nil: not kept
	created                bool          // has a folder
	dirty, urgent, curving bool          // differs from what is on disk
	log                    []byte        // not on disk yet
	logging                bool          // what was in log is being written
	dropped                int           // lines of the log, for which there was no room
}

// Folder returns where the book is, or "".
func (b *Book) Folder() string { return b.folder }

// Changed returns a channel that is closed at the next change of any job. Take it
// before looking.
func (b *Book) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// notify is called with mu held.
func (b *Book) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// All returns all jobs: those that are under way, then the queue in its order,
// then those that have ended, the latest first.
func (b *Book) All() []Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all()
}

func (b *Book) all() []Record {
	out, now := make([]Record, 0, len(b.entries)), b.clock.Elapsed()
	for _, e := range b.entries {
		out = append(out, e.at(now))
	}
	slices.SortFunc(out, compare)
	position := 0
	for i := range out {
		if out[i].State == wire.JobQueued {
			position++
			out[i].Position = position
		}
	}
	return out
}

func compare(a, b Record) int {
	if c := cmp.Compare(rank(a.State), rank(b.State)); c != 0 {
		return c
	}
	if wire.Ended(a.State) {
		// By the wall clock only those of a version that did not count: it may have been
		// set between two ends, and Prune would keep the wrong ones.
		return cmp.Or(cmp.Compare(b.Finished, a.Finished), b.Ended.Compare(a.Ended), cmp.Compare(b.Order, a.Order))
	}
	return cmp.Compare(a.Order, b.Order)
}

func rank(state string) int {
	switch {
	case wire.Ended(state):
		return 3
	case state == wire.JobLost:
		return 2
	case state == wire.JobQueued:
		return 1
	}
	return 0
}

// Find returns the job whose ID is, or alone begins with, the given one.
func (b *Book) Find(id string) (Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[id]; e != nil {
		return b.withPosition(e), nil
	}
	var found []string
	for known := range b.entries {
		if id != "" && strings.HasPrefix(known, id) {
			found = append(found, known)
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 0:
		return Record{}, fmt.Errorf("job %.80q: there is none\nhint: gespann jobs lists them", id)
	case 1:
		return b.withPosition(b.entries[found[0]]), nil
	}
	return Record{}, fmt.Errorf("job %.80q: could be %s", id, strings.Join(found[:min(len(found), 5)], ", "))
}

func (b *Book) withPosition(e *entry) Record {
	r := e.at(b.clock.Elapsed())
	if r.State == wire.JobQueued {
		r.Position = 1
		for _, other := range b.entries {
			if other.State == wire.JobQueued && other.Order < r.Order {
				r.Position++
			}
		}
	}
	return r
}

// Queue returns the jobs that wait for their turn, in order.
func (b *Book) Queue() []Record {
	all := b.All()
	return slices.DeleteFunc(all, func(r Record) bool { return r.State != wire.JobQueued })
}

// Update lets change write to the job, and reports whether there is one. Maps
// and pointers in it are to be replaced, not written to.
func (b *Book) Update(id string, change func(*Record)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[id]
	if e == nil {
		return false
	}
	state := e.State
	change(&e.Record)
	e.Reason = plain.Text(e.Reason)
	e.dirty = true
	if e.State != state {
		e.urgent = true
		b.turned(e)
	}
	b.notify()
	return true
}

// turned notes that a job's state has changed.
func (b *Book) turned(e *entry) {
	now := b.clock.Elapsed()
	switch {
	case e.State == wire.JobRunning:
		e.running, e.runs = true, now
		if e.Started.IsZero() {
			e.Started = b.clock.Now()
		}
	case e.running:
		e.Record, e.running = e.at(now), false
	}
	if e.State != wire.JobRunning {
		e.RowsPerSecond, e.Left = 0, 0
	}
	if e.State == wire.JobDone && e.Epochs > 0 {
		e.Progress = 1 // also when it stopped early
	}
	if wire.Ended(e.State) {
		b.finished++
		e.Ended, e.Finished, e.Position = b.clock.Now(), b.finished, 0
		b.forget()
	}
}

// at returns the record at a moment, with the time that it has been running until then.
func (e *entry) at(now time.Duration) Record {
	r := e.Record
	if e.running {
		r.Took += (now - e.runs).Seconds()
	}
	return r
}

// Attach begins a job whose driver, someone's, is elsewhere, or takes it up again.
func (b *Book) Attach(id, name string, by dist.Principal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[id]
	if e == nil {
		b.order++
		e = &entry{Record: Record{Order: b.order}, curve: &Curve{}}
		e.ID, e.Created = id, b.clock.Now()
		b.entries[id] = e
	}
	if e.By.Is(dist.Principal{}) {
		e.By, e.Owner = by, by.Name
	}
	e.Name, e.State, e.Reason, e.Ended = cutName(name), wire.JobWaiting, "", time.Time{}
	b.turned(e)
	e.dirty, e.urgent = true, true
	b.notify()
}

// Log adds a line to the job's log. It does not wait for the disk.
func (b *Book) Log(id, line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[id]
	if e == nil || b.folder == "" {
		return
	}
	if len(e.log) > maxPending {
		e.dropped++
		return
	}
	line = strings.ReplaceAll(plain.Text(strings.TrimRight(line, "\n")), "\n", "\n    ")
	if len(line) > maxLine {
		line = strings.ToValidUTF8(line[:maxLine], "") + " ..."
	}
	e.log = append(e.log, b.clock.Now().UTC().Format(time.RFC3339)+" "+line+"\n"...)
	e.urgent = true
	b.notify()
}

// SetCurve replaces the job's curve, which must not change any more.
func (b *Book) SetCurve(id string, c *Curve) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[id]; e != nil {
		e.curve, e.curving = c, true
	}
}

// Recent returns the job's curve if it is in memory, or nil.
func (b *Book) Recent(id string) *Curve {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[id]; e != nil {
		return e.curve
	}
	return nil
}

// Curve returns the job's curve, from disk where necessary.
func (b *Book) Curve(id string) (*Curve, error) {
	b.mu.Lock()
	e := b.entries[id]
	if e == nil {
		b.mu.Unlock()
		return nil, fmt.Errorf("job %.80q: there is none", id)
	}
	curve := e.curve
	b.mu.Unlock()
	if curve != nil {
		return curve, nil
	}
	return readCurve(b.path(id, curveFile))
}

// forget drops what is not worth its memory. It is called with mu held.
func (b *Book) forget() {
	ended := make([]*entry, 0, len(b.entries))
	for _, e := range b.entries {
		if wire.Ended(e.State) {
			ended = append(ended, e)
		}
	}
	slices.SortFunc(ended, func(x, y *entry) int { return compare(x.Record, y.Record) })
	for i, e := range ended {
		if b.folder == "" && i >= keepAttached {
			delete(b.entries, e.ID)
		} else if i >= keepCurves && !e.curving {
			e.curve = nil
		}
	}
}

// Err returns what went wrong with the latest Flush, or nil.
func (b *Book) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lastErr
}

func (b *Book) path(id string, names ...string) string {
	return filepath.Join(append([]string{b.folder, jobsFolder, id}, names...)...)
}

// RunDir returns the run directory of a submitted job.
func (b *Book) RunDir(id string) string { return b.path(id, runFolder) }

// DataDir returns the folder with the data that came with a job; "": none came.
func (b *Book) DataDir(r *Record) string {
	if !r.Uploaded {
		return ""
	}
	return b.path(r.ID, dataFolder)
}

// Dir returns the folder of a job.
func (b *Book) Dir(id string) string { return b.path(id) }

// NoSpace reports whether err says that a disk is full.
func NoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Passing returns what this machine lacks according to err, as a sentence begins, and what
// to do about it: a job pauses until it is there again. "": err is none of that.
func Passing(err error) (lacks, advice string) {
	switch {
	case NoSpace(err):
		return "the disk of the coordinator is full", "make room"
	case errors.Is(err, syscall.EMFILE):
		return "the coordinator has too many files open", "raise its limit (ulimit -n), or have fewer connections"
	case errors.Is(err, syscall.ENFILE):
		return "the machine of the coordinator has too many files open", "end what has them open"
	}
	return "", ""
}
