package host

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/internal/memlimit"
)

// A need is how much memory a job takes besides its data, in bytes.
type need struct {
	vars, copies, grads int64
	arena               int64 // inputs, activations and outputs of one program at a time
}

func (n need) total() int64 { return n.vars + n.copies + n.grads + n.arena }

// String lists what takes the memory.
func (n need) String() string {
	var words []string
	for _, part := range []struct {
		name  string
		bytes int64
	}{
		{"variables", n.vars}, {"a copy to save them", n.copies}, {"gradients", n.grads}, {"activations", n.arena},
	} {
		if part.bytes > 0 {
			words = append(words, part.name+" "+memlimit.Text(part.bytes))
		}
	}
	return strings.Join(words, ", ")
}

// need returns what the job takes with batches of so many rows, without taking it.
func (s *session) need(batch int) (need, error) {
	const float = 4 // bytes
	var n need
	params := int64(0)
	for _, v := range s.vars {
		n.vars += float * int64(ir.Size(v.Shape))
		if v.Role != ir.OptState {
			params += float * int64(ir.Size(v.Shape))
		}
	}
	if s.job.Data == nil {
		return n, nil
	}
	// takes notes the arena of a program, of which several are at work at once.
	takes := func(key programKey, several int) (*ir.Program, error) {
		p, err := s.build(key)
		if err == nil {
			n.arena = max(n.arena, float*int64(several)*int64(s.plan(p).Size))
		}
		return p, err
	}
	if rows := s.trainRows(); rows > 0 {
		n.copies, n.grads = n.vars, params
		key := programKey{kind: gradient, rows: min(rows, batch)}
		if s.tree != nil { // shards in place of batches, and one vector for each level
			n.grads += params * int64(bits.Len(uint(s.job.Shards)))
			key.rows = min(rows, (batch*s.job.Accumulate+s.job.Shards-1)/s.job.Shards)
		}
		p, err := takes(key, 1)
		if err != nil {
			return n, err
		}
		if s.tree != nil && len(meet.Points(p)) > 0 { // the shards of a run are all there
			n.grads += params * int64(s.cut().PerRun()-1)
			key.rows = min(rows, (batch+s.cut().PerRun()-1)/s.cut().PerRun()) // none has rows of two runs
			if _, err := takes(key, s.cut().PerRun()); err != nil {
				return n, err
			}
		}
	}
	for _, part := range s.job.Data.Parts {
		if part.Rows > 0 {
			if _, err := takes(programKey{kind: forward, rows: min(part.Rows, batch), variant: true}, 1); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// checkMemory returns a *memoryError where the job takes more memory than there is.
// The Go runtime would end the process, or the system kill it, without a sentence.
func (s *session) checkMemory() error {
	n, err := s.need(s.job.BatchSize)
	if err != nil {
		return err
	}
	var short *memlimit.ShortError
	if !errors.As(memlimit.Check(n.total()), &short) {
		return nil
	}
	e := &memoryError{need: n, have: short.Have, batch: s.job.BatchSize}
	for low, high := 1, s.job.BatchSize-1; low <= high; {
		mid := (low + high) / 2
		if less, err := s.need(mid); err == nil && less.total() <= short.Have.Bytes {
			e.best, low = mid, mid+1
		} else {
			high = mid - 1
		}
	}
	return e
}

// A memoryError says that a job does not fit.
type memoryError struct {
	need        need
	have        memlimit.Limit
	batch, best int // best is the largest batch size that would fit, 0 for none
}

func (e *memoryError) Error() string {
	text := fmt.Sprintf("out of memory: with batch size %d the model needs %s (%v), and %s %s to give",
		e.batch, memlimit.Text(e.need.total()), e.need, e.have.Who, memlimit.Text(e.have.Bytes))
	if e.best == 0 {
		return text + "; no batch size would fit"
	}
	return text + fmt.Sprintf("\nhint: --batch-size %d would fit; train.accumulate makes steps of several batches", e.best)
}
