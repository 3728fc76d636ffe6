package jobs

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock"
	"github.com/gespann/gespann/internal/disk"
	"github.com/gespann/gespann/internal/filelock"
	"github.com/gespann/gespann/internal/outfile"
)

// Names in the folder of a coordinator.
const (
	lockFile   = "lock"
	jobsFolder = "jobs"
	recordFile = "job.json"
	specFile   = "spec.yaml"
	originFile = "origin.json"
	runFolder  = "run"
	dataFolder = "data"
	logFile    = "log.txt"
	curveFile  = "events.jsonl"
)

const (
	maxRecord  = 4 << 20 // bytes of a job.json
	maxLog     = 16 << 20
	maxPending = 1 << 20 // bytes of a log that wait for the disk
	maxLine    = 4 << 10
)

// Open takes the lock of a folder and reads the jobs in it; jobs that were under
// way are queued again, in their order. The folder "" is none: the book is in
// memory only. Jobs that cannot be read are told to warn and stay as they are.
func Open(folder string, c clock.Clock, warn func(error)) (*Book, error) {
	b := &Book{
		folder: folder, clock: c, entries: map[string]*entry{}, changed: make(chan struct{}),
	}
	if folder == "" {
		return b, nil
	}
	err := disk.MkdirAll(filepath.Join(folder, jobsFolder), 0o777)
	if err == nil {
		b.lock, err = takeLock(filepath.Join(folder, lockFile))
	}
	if err == nil {
		err = b.read(warn)
	}
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("state folder %s: %w", folder, err)
	}
	return b, nil
}

func takeLock(path string) (*os.File, error) {
	f, err := filelock.Open(path)
	if err != nil {
		return nil, err
	}
	locked, err := filelock.Try(f)
	if err == nil && !locked {
		err = fmt.Errorf("another coordinator is using it (process %s)", filelock.Holder(f))
	}
	if err == nil {
		err = filelock.Sign(f)
	}
	if err != nil && !NoSpace(err) { // the number is a courtesy
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close gives the lock back. What was not flushed is lost.
func (b *Book) Close() error {
	if b.lock == nil {
		return nil
	}
	return b.lock.Close()
}

// read fills the book from its folder, and removes what a crash left behind.
func (b *Book) read(warn func(error)) error {
	folders, err := os.ReadDir(filepath.Join(b.folder, jobsFolder))
	if err != nil {
		return err
	}
	var ended []*entry
	for _, f := range folders {
		if strings.HasPrefix(f.Name(), outfile.TempPrefix) {
			disk.RemoveAll(b.path(f.Name()))
			continue
		}
		if !f.IsDir() || CheckID(f.Name()) != nil {
			continue
		}
		r, err := readRecord(b.path(f.Name(), recordFile))
		if err == nil && r.ID != f.Name() {
			err = fmt.Errorf("%s: is of job %.80q", b.path(f.Name(), recordFile), r.ID)
		}
		if err != nil {
			warn(err)
			continue
		}
		was := r.State
		r.revive(b.clock.Now())
		e := &entry{Record: r, created: true, dirty: r.State != was}
		b.entries[r.ID] = e
		b.order, b.finished = max(b.order, r.Order), max(b.finished, r.Finished)
		if e.dirty && wire.Ended(r.State) {
			ended = append(ended, e)
		}
	}
	slices.SortFunc(ended, func(x, y *entry) int { return cmp.Compare(x.Order, y.Order) })
	for _, e := range ended { // just now
		b.finished++
		e.Finished = b.finished
	}
	return nil
}

func readRecord(path string) (Record, error) {
	var r Record
	f, err := os.Open(path)
	if err != nil {
		return r, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err == nil && len(text) > maxRecord {
		err = fmt.Errorf("has more than %d bytes", maxRecord)
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// A Submission is a job to be queued.
type Submission struct {
	Name   string
	Spec   []byte
	Origin *wire.Origin // of the spec; nil: not known
	By     dist.Principal
	Epochs int
	Wants  int    // workers
	Data   string // files and rows, in words
	// Files is the folder with the data that came with it, which Stage has made and which
	// becomes the job's; "": none came.
	Files string
}

// Stage makes a folder for the data of a job that is to come. What is in it when the
// book is opened again is removed.
func (b *Book) Stage() (string, error) {
	if b.folder == "" {
		return "", ErrNoFolder
	}
	return os.MkdirTemp(filepath.Join(b.folder, jobsFolder), outfile.TempPrefix+"data-")
}

// Submit queues a job. When it returns, the job is on disk.
func (b *Book) Submit(s Submission) (Record, error) {
	if b.folder == "" {
		return Record{}, ErrNoFolder
	}
	if len(s.Spec) > wire.MaxSpec {
		return Record{}, fmt.Errorf("spec: has %d bytes, want at most %d", len(s.Spec), wire.MaxSpec)
	}
	b.disk.Lock()
	defer b.disk.Unlock()
	r, err := b.reserve(s.Name)
	if err != nil {
		return Record{}, err
	}
	r.Uploaded = s.Files != ""
	r.Epochs, r.Wants, r.Data, r.By = s.Epochs, s.Wants, s.Data, s.By
	r.Owner = s.By.Name
	if err := b.create(r, s); err != nil {
		return Record{}, full(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &entry{Record: r, curve: &Curve{}, created: true}
	b.entries[r.ID] = e
	b.notify()
	return b.withPosition(e), nil
}

// reserve makes the record of a new job.
func (b *Book) reserve(name string) (Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting := 0
	for _, e := range b.entries {
		if e.State == wire.JobQueued {
			waiting++
		}
	}
	if waiting >= wire.MaxQueue {
		return Record{}, fmt.Errorf("the queue is full: %d jobs wait", waiting)
	}
	id := NewID(name)
	for b.entries[id] != nil {
		id = NewID(name)
	}
	b.order++
	r := Record{Order: b.order}
	r.ID, r.Name, r.State, r.Submitted, r.Created = id, cutName(name), wire.JobQueued, true, b.clock.Now()
	return r, nil
}

// create makes the folder of a job: all of it or nothing. It is called with disk
// held.
func (b *Book) create(r Record, s Submission) (err error) {
	temp := b.path(outfile.TempPrefix + r.ID)
	defer func() {
		if err != nil {
			disk.RemoveAll(temp)
		}
	}()
	folder := temp
	if r.Submitted {
		folder = filepath.Join(temp, runFolder)
	}
	if err := disk.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	if r.Submitted {
		if err := outfile.Bytes(filepath.Join(temp, specFile), s.Spec); err != nil {
			return err
		}
	}
	if s.Origin != nil {
		if err := writeJSON(filepath.Join(temp, originFile), s.Origin); err != nil {
			return err
		}
	}
	if err := writeJSON(filepath.Join(temp, recordFile), r); err != nil {
		return err
	}
	if s.Files != "" {
		if err := disk.Rename(s.Files, filepath.Join(temp, dataFolder)); err != nil {
			return err
		}
		if err := disk.SyncFolder(temp); err != nil {
			return err
		}
	}
	if err := disk.Rename(temp, b.path(r.ID)); err != nil {
		return err
	}
	if err := disk.SyncFolder(b.path("")); err != nil {
		// Whoever is told that it was not taken does not want to see it run later.
		return errors.Join(err, disk.Rename(b.path(r.ID), temp))
	}
	return nil
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return outfile.Bytes(path, append(text, '\n'))
}

// Spec returns what was submitted, or what KeepSpec keeps.
func (b *Book) Spec(id string) ([]byte, error) {
	b.mu.Lock()
	e := b.entries[id]
	if e == nil || !e.Submitted {
		defer b.mu.Unlock()
		if e == nil || e.spec == nil {
			return nil, fmt.Errorf("job %.80q: its spec is not here", id)
		}
		return e.spec, nil
	}
	b.mu.Unlock()
	return os.ReadFile(b.path(id, specFile))
}

// Origin returns where the spec of a submitted job comes from; nil: that is not known.
func (b *Book) Origin(id string) *wire.Origin {
	text, err := os.ReadFile(b.path(id, originFile))
	o := new(wire.Origin)
	if err != nil || json.Unmarshal(text, o) != nil {
		return nil // only messages would be better with it
	}
	return o
}

// maxKept bounds the spec of a job with its driver elsewhere: it is in memory.
const maxKept = 64 << 10

// KeepSpec remembers the spec of a job that was not submitted, if it is not too
// large. It must not change any more.
func (b *Book) KeepSpec(id string, spec []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[id]; e != nil && !e.Submitted && len(spec) <= maxKept {
		e.spec = spec
	}
}

// Prune removes those of some jobs that have ended, except the latest of them, and returns
// their IDs.
func (b *Book) Prune(keep int, some func(*Record) bool) ([]string, error) {
	return b.remove(max(keep, 0), some)
}

// remove removes ended jobs of a kind, except the latest ones. A job whose files
// cannot be removed stays.
func (b *Book) remove(keep int, kind func(*Record) bool) ([]string, error) {
	b.disk.Lock()
	defer b.disk.Unlock()
	removed, errs := []string{}, []error(nil)
	for _, r := range b.All() {
		if !wire.Ended(r.State) || !kind(&r) {
			continue
		}
		if keep--; keep >= 0 {
			continue
		}
		if err := b.erase(r.ID); err != nil {
			errs = append(errs, err)
			continue
		}
		b.mu.Lock()
		delete(b.entries, r.ID)
		b.notify()
		b.mu.Unlock()
		removed = append(removed, r.ID)
	}
	return removed, errors.Join(errs...)
}

// erase removes a folder; half a folder never looks like a job.
func (b *Book) erase(id string) error {
	if b.folder == "" {
		return nil
	}
	temp := b.path(outfile.TempPrefix + id)
	if err := disk.Rename(b.path(id), temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := disk.SyncFolder(b.path("")); err != nil {
		return err
	}
	return disk.RemoveAll(temp)
}

// Room returns nil when so many bytes can be written.
func (b *Book) Room(bytes int) error {
	b.disk.Lock()
	defer b.disk.Unlock()
	path := filepath.Join(b.folder, outfile.TempPrefix+"room")
	f, err := disk.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, bytes))
	if err == nil { // some file systems find out only now, or when it is closed
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	disk.Remove(path)
	return err
}

func full(err error) error {
	if NoSpace(err) {
		return fmt.Errorf("the disk of the coordinator is full, and the job was not taken: %w\n"+
			"hint: make room there", err)
	}
	return err
}
