package jobs

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/plain"
)

// A Record is what is kept of a job. Its slices, maps and pointers are shared
// between copies and do not change.
type Record struct {
	wire.JobStatus
	// Order is that of submission.
	Order int64 `json:"order"`
	// Finished is that of their ends; 0: it has not ended, or did by a version that did
	// not count.
	Finished int64 `json:"finished,omitempty"`
	// Cancel: someone wants it to end. It is not run again.
	Cancel  bool             `json:"cancel,omitempty"`
	Account *backend.Account `json:"account,omitempty"`
	// Uploaded: its data came with it, and is in its folder.
	Uploaded bool `json:"uploaded,omitempty"`
	// Died is how often the coordinator has ended without a word in a row while the job was
	// starting.
	Died int `json:"died,omitempty"`
	// By is who submitted it. Of a version that did not ask, it is nobody.
	By dist.Principal `json:"by,omitzero"`
}

// maxDied is how often a coordinator is killed by what may be the same job before others
// go first.
const maxDied = 3

// maxName is the length of a job's name.
const maxName = 80

var validID = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// CheckID returns an error unless id can name a job, and a folder.
func CheckID(id string) error {
	if !validID.MatchString(id) {
		return fmt.Errorf("job ID %.80q: want 1 to 64 of a-z, 0-9, '.', '_' and '-', "+
			"beginning with a letter or digit", id)
	}
	return nil
}

// NewID returns a new ID for a job of that name.
func NewID(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= 40 {
			break
		}
	}
	slug := strings.Trim(b.String(), "-")
	if slug == "" {
		slug = "job"
	}
	var random [3]byte
	rand.Read(random[:]) // never fails
	return slug + "-" + hex.EncodeToString(random[:])
}

// cutName shortens a name to what a page can show.
func cutName(name string) string {
	name = plain.Line(strings.NewReplacer("\n", " ", "\r", " ", "\t", " ").Replace(name))
	if r := []rune(name); len(r) > maxName {
		return string(r[:maxName])
	}
	return name
}

// revive puts a record that was read from disk into the state that it has after
// the coordinator was restarted.
func (r *Record) revive(now time.Time) {
	r.Position, r.RowsPerSecond, r.Left = 0, 0, 0
	if !wire.Ended(r.State) {
		r.Workers = 0
	} else if r.Took == 0 && !r.Started.IsZero() { // by a version that did not count
		r.Took = max(r.Ended.Sub(r.Started).Seconds(), 0)
	}
	switch {
	case r.State == wire.JobStarting && r.Submitted:
		r.Died++
	case r.State != wire.JobQueued:
		r.Died = 0
	}
	switch {
	case wire.Ended(r.State):
	case r.Cancel:
		r.State, r.Reason, r.Ended = wire.JobCancelled, "", now
	case r.Died >= maxDied:
		r.State, r.Ended = wire.JobFailed, now
		r.Reason = fmt.Sprintf("the coordinator was killed %d times in a row while the job was starting: is its data too large?", r.Died)
	case r.Submitted && r.State != wire.JobQueued:
		r.State, r.Reason = wire.JobQueued, "the coordinator was restarted"
	case r.State == wire.JobLost: // for the second time
		r.State, r.Reason, r.Ended = wire.JobFailed, "its driver has not come back", now
	case !r.Submitted:
		r.State, r.Reason = wire.JobLost, "the coordinator was restarted, and the driver has not come back"
	}
}
