package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/gespann/gespann/internal/data"
)

// Bounds of what a message may say. They keep what a receiver allocates and
// indexes within what a real run needs, and are far beyond that.
const (
	MaxWorkers  = 4096    // of a job or a group
	MaxVars     = 1 << 16 // variables of a job
	MaxDims     = 8       // of a variable
	MaxElements = 1 << 38 // float32 of all variables of a job: a terabyte
	MaxRows     = math.MaxUint32
	MaxBatch    = 1 << 24   // rows
	MaxSteps    = 1<<31 - 1 // of an epoch
	MaxName     = 256       // bytes of an ID, a name or an address
	MaxMetrics  = 256       // of a run, and numbers of each

	maxPeers   = 16 // addresses of a worker
	maxThreads = 1 << 16
)

// Validate returns an error when a receiver cannot use m: numbers that are
// negative or beyond the bounds of this package, names that are too long, shares
// of nobody. Decode and ParseHead have called it.
func Validate(m Message) error {
	if v, ok := m.(interface{ validate() error }); ok {
		return v.validate()
	}
	return nil
}

// between checks lo ≤ got ≤ hi.
func between[T int | int64](what string, got, lo, hi T) error {
	if got < lo || got > hi {
		return fmt.Errorf("%s: got %d, want %d to %d", what, got, lo, hi)
	}
	return nil
}

// name checks a short text; an ID must not be empty.
func name(what, got string, mayBeEmpty bool) error {
	if len(got) > MaxName {
		return fmt.Errorf("%s: got %d bytes, want at most %d", what, len(got), MaxName)
	}
	if got == "" && !mayBeEmpty {
		return fmt.Errorf("%s: got none", what)
	}
	return nil
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// maxCount bounds what is counted, so that sums over workers are far from overflow.
const maxCount = 1 << 50

// maxSum bounds sums of finite numbers, so that their sums over workers are finite. The
// loss of a row is a float32.
const maxSum = math.MaxFloat32 * maxCount

func validStats(s *Stats) error {
	if err := first(between("rows", s.Rows, 0, maxCount), validSum(s.Loss, "loss"),
		between("metrics", len(s.Metrics), 0, MaxMetrics)); err != nil {
		return err
	}
	for metric, sums := range s.Metrics {
		if err := first(name("metric", metric, false),
			between("metric "+metric, len(sums), 0, MaxMetrics)); err != nil {
			return err
		}
		for _, sum := range sums {
			if err := validSum(sum, "metric "+metric); err != nil {
				return err
			}
		}
	}
	return nil
}

// validSum checks a sum. What is not finite is a result, too.
func validSum(n Number, what string) error {
	if v := float64(n); math.Abs(v) > maxSum && !math.IsInf(v, 0) {
		return fmt.Errorf("%s: got a sum of %v, want at most %v, or one that is not finite", what, v, maxSum)
	}
	return nil
}

// finiteLoss checks what training adds up: a step whose loss is not finite is not taken.
func finiteLoss(s *Stats) error {
	if !s.Loss.Finite() {
		return fmt.Errorf("loss: got a sum of %v of steps that were taken, want a finite one", float64(s.Loss))
	}
	return nil
}

func (p *Position) validate() error {
	if p == nil { // where it is optional
		return nil
	}
	return first(between("epoch", p.Epoch, 0, math.MaxInt32), between("index", p.Index, 0, MaxSteps),
		between("done", p.Done, 0, math.MaxInt64), validStats(&p.Sums))
}

func (s *Span) validate() error {
	if err := first(between("epoch", s.Epoch, 0, math.MaxInt32), between("first", s.First, 0, MaxSteps),
		between("last", s.Last, s.First, MaxSteps), between("done", s.Done, 0, math.MaxInt64)); err != nil {
		return err
	}
	if steps := s.Last - s.First; len(s.Rates) < steps {
		return fmt.Errorf("rates: got %d, want one for each of %d steps", len(s.Rates), steps)
	}
	return nil
}

// maxSeconds bounds a time, so that sums of times are finite: 30 years.
const maxSeconds = 1e9

func (c *Cost) validate() error {
	fits := func(v float64) bool { return v >= 0 && v <= maxSeconds }
	if !fits(c.Compute) || !fits(c.Wait) || !fits(c.Comm) {
		return fmt.Errorf("cost: got %v, %v and %v seconds, want 0 to %v", c.Compute, c.Wait, c.Comm, float64(maxSeconds))
	}
	if !fits(c.Update) {
		return fmt.Errorf("cost: got %v seconds of updates, want 0 to %v", c.Update, float64(maxSeconds))
	}
	return first(between("rows", c.Rows, 0, maxCount), between("sent", c.Sent, 0, maxCount),
		between("received", c.Received, 0, maxCount))
}

func (j *Job) validate() error {
	err := first(name("job", j.ID, false), name("name", j.Name, true),
		between("batch_size", j.BatchSize, 1, MaxBatch), between("accumulate", j.Accumulate, 1, MaxBatch),
		between("batch_size × accumulate", int64(j.BatchSize)*int64(j.Accumulate), 1, MaxRows),
		between("shards", j.Shards, 0, MaxBatch), between("workers", j.Workers, 0, MaxWorkers),
		between("epochs", j.Epochs, 0, math.MaxInt32),
		name("strategy", j.Strategy, false), between("params", len(j.Params), 0, MaxName),
		name("digest", j.Digest, true), oneOf("wire", j.Wire, "", "fp32", "bf16"),
		oneOf("data", j.DataFrom, "", "auto", "local", "stream"),
		between("vars", len(j.Vars), 0, MaxVars))
	if err != nil {
		return err
	}
	for i, n := range j.Rows {
		if err := between(fmt.Sprintf("rows of %v", data.Split(i)), int64(n), 0, MaxRows); err != nil {
			return err
		}
	}
	total := int64(0)
	for i := range j.Vars {
		n, err := j.Vars[i].size()
		if total += n; err == nil && total > MaxElements {
			err = fmt.Errorf("got more than %d elements with the variables before it", int64(MaxElements))
		}
		if err != nil {
			return fmt.Errorf("vars[%d]: %w", i, err)
		}
	}
	return nil
}

// size returns the number of elements, at most MaxElements.
func (v *Var) size() (int64, error) {
	if err := first(name("name", v.Name, false), oneOf("role", v.Role, "param", "state", "optimizer"),
		between("dims", len(v.Shape), 0, MaxDims)); err != nil {
		return 0, err
	}
	n := int64(1)
	for _, d := range v.Shape {
		if d < 1 || int64(d) > MaxElements/n {
			return 0, fmt.Errorf("shape: got %v, want 1 to %d elements", v.Shape, int64(MaxElements))
		}
		n *= int64(d)
	}
	return n, nil
}

func oneOf(what, got string, want ...string) error {
	if slices.Contains(want, got) {
		return nil
	}
	return fmt.Errorf("%s: got %q, want %s", what, got, strings.TrimPrefix(strings.Join(want, ", "), ", "))
}

func (m *Member) validate() error {
	return first(name("id", m.ID, false), name("host", m.Host, true),
		between("share", m.Share, 0, math.MaxInt32), addresses(m.Peer))
}

func addresses(peer []string) error {
	if err := between("addresses", len(peer), 0, maxPeers); err != nil {
		return err
	}
	for _, address := range peer {
		if err := name("address", address, false); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hello) validate() error {
	return first(between("protocol", h.Protocol, 0, math.MaxInt32), name("id", h.ID, false),
		name("secret", h.Secret, true), name("name", h.Name, true), name("version", h.Version, true), name("backend", h.Backend, true),
		name("device", h.Device, true), between("threads", h.Threads, 0, maxThreads),
		addresses(h.Peer), name("host", h.Host, true), name("job", h.Job, true), h.At.validate())
}

func (m *Opened) validate() error { return m.At.validate() }
func (m *Loaded) validate() error { return m.At.validate() }
func (m *State) validate() error  { return m.At.validate() }
func (m *Ran) validate() error {
	return first(m.At.validate(), finiteLoss(&m.At.Sums), m.Cost.validate())
}
func (m *Broken) validate() error  { return m.At.validate() }
func (m *Failed) validate() error  { return m.At.validate() }
func (m *Aborted) validate() error { return m.At.validate() }

func (m *Commit) validate() error {
	return first(between("steps", m.Steps, 0, MaxSteps), validStats(&m.Stats), finiteLoss(&m.Stats), m.Cost.validate())
}

func (m *Evaluated) validate() error { return allStats(m.Stats) }

func allStats(all []Stats) error {
	for i := range all {
		if err := validStats(&all[i]); err != nil {
			return fmt.Errorf("stats[%d]: %w", i, err)
		}
	}
	return nil
}

func (m *Beat) validate() error {
	return first(between("done", m.Done, 0, math.MaxInt64), name("phase", m.Phase, true),
		seconds("seconds", m.Seconds), m.Cost.validate())
}

func (m *Open) validate() error { return m.Job.validate() }

func (m *Rows) validate() error {
	if m.Table == nil {
		return nil
	}
	_, err := m.Table.Bytes(math.MaxInt64) // the receiver has a limit of its own
	return err
}

func (m *Load) validate() error { return m.At.validate() }

func (m *Form) validate() error {
	if err := first(between("members", len(m.Members), 1, MaxWorkers),
		between("rank", m.Rank, 0, len(m.Members)-1), name("secret", m.Secret, true)); err != nil {
		return err
	}
	seen, shares := map[string]bool{}, 0
	for i := range m.Members {
		member := &m.Members[i]
		if err := member.validate(); err != nil {
			return fmt.Errorf("members[%d]: %w", i, err)
		}
		if seen[member.ID] {
			return fmt.Errorf("members[%d]: got %s twice", i, member.ID)
		}
		seen[member.ID], shares = true, shares+member.Share
	}
	if shares == 0 {
		return errors.New("members: got no shares")
	}
	return nil
}

func (m *Run) validate() error { return first(m.Span.validate(), rested(m.Rested)) }

func (m *Lease) validate() error {
	return first(m.Span.validate(), between("member", m.Member, 0, MaxWorkers), rested(m.Rested))
}

func rested(s float64) error { return seconds("rested", s) }

func seconds(what string, s float64) error {
	if !(s >= 0 && s <= maxSeconds) {
		return fmt.Errorf("%s: got %v seconds, want 0 to %v", what, s, float64(maxSeconds))
	}
	return nil
}

func (m *Evaluate) validate() error {
	return first(split(m.Split), between("first", m.First, 0, MaxSteps), between("last", m.Last, m.First, MaxSteps))
}

func split(s data.Split) error { return between("split", int(s), 0, int(data.Test)) }

func (m *Attach) validate() error    { return first(m.Job.validate(), m.At.validate()) }
func (m *Attached) validate() error  { return between("workers", m.Workers, 0, MaxWorkers) }
func (m *Restore) validate() error   { return m.At.validate() }
func (m *Probe) validate() error     { return m.Span.validate() }
func (m *Progress) validate() error  { return m.At.validate() }
func (m *Trained) validate() error   { return m.At.validate() }
func (m *Variables) validate() error { return m.At.validate() }
func (m *Test) validate() error      { return split(m.Split) }
func (m *Tested) validate() error    { return validStats(&m.Stats) }

func (m *Train) validate() error {
	return first(m.Span.validate(), validStats(&m.Sums), between("steps", m.Steps, 0, MaxSteps))
}

func (m *Submit) validate() error {
	if err := uploads(m.Files); err != nil {
		return err
	}
	if m.Origin == nil {
		return name("name", m.Name, true)
	}
	return first(name("name", m.Name, true), name("file", m.Origin.File, true),
		between("places", len(m.Origin.Places), 0, MaxPlaces))
}

// uploads checks that files can be kept side by side in a folder of their own.
func uploads(files []Upload) error {
	if err := between("files", len(files), 0, MaxUploads); err != nil {
		return err
	}
	total := int64(0)
	seen := map[string]bool{}
	for i, f := range files {
		if !IsUploadPath(f.Path) {
			return fmt.Errorf("files[%d]: got path %.200q, want a relative one of printable characters", i, f.Path)
		}
		if digest, err := hex.DecodeString(f.SHA256); err != nil || len(digest) != sha256.Size {
			return fmt.Errorf("files[%d]: got SHA-256 %.80q, want 64 hexadecimal digits", i, f.SHA256)
		}
		if err := between("size", f.Size, 0, math.MaxInt64-total); err != nil {
			return fmt.Errorf("files[%d]: %w", i, err)
		}
		total += f.Size
		for other := range seen {
			if other == f.Path || strings.HasPrefix(other, f.Path+"/") || strings.HasPrefix(f.Path, other+"/") {
				return fmt.Errorf("files[%d]: got %q beside %q", i, f.Path, other)
			}
		}
		seen[f.Path] = true
	}
	return nil
}

// IsUploadPath reports whether a file that comes with a job may have that path.
func IsUploadPath(path string) bool {
	if path == "." || len(path) > MaxName || !fs.ValidPath(path) {
		return false
	}
	for _, part := range strings.Split(path, "/") {
		if strings.HasPrefix(part, ".") { // hidden, or temporary
			return false
		}
	}
	return !strings.ContainsFunc(path, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(`\:`, r) })
}

func (m *Ready) validate() error {
	return first(between("file", m.File, 0, MaxUploads-1), between("offset", m.Offset, 0, math.MaxInt64))
}

func (m *Show) validate() error       { return name("job", m.Job, true) }
func (m *Logs) validate() error       { return name("job", m.Job, true) }
func (m *CancelJob) validate() error  { return name("job", m.Job, true) }
func (m *FetchFiles) validate() error { return name("job", m.Job, true) }

func (m *File) validate() error {
	return first(between("size", m.Size, 0, math.MaxInt64), between("offset", m.Offset, 0, m.Size))
}
