package server

import (
	"slices"
	"sync/atomic"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/memlimit"
)

// A tensor is a vector that several frames on their way may share. Rules:
//
//   - refs counts who may read it: the job that has it as base or center, and every
//     frame that is queued with it. Each gives its reference back once.
//   - It is written to only by the goroutine that owns the machine, and only while
//     that holds the one reference; otherwise a copy takes its place (see own).
//   - With the last reference the memory is given back.
type tensor struct {
	data   []float32
	look   look // of what came, if looked
	looked bool
	refs   atomic.Int32
	memory *memlimit.Budget
	done   func() // gives the memory back to the budget, if that knows of it already
}

// wrap makes a tensor, with one reference, of memory that is the caller's to give. It
// counts, whether there is room or not.
func wrap(memory *memlimit.Budget, v []float32) *tensor {
	memory.Force(bytesIn(v))
	t := &tensor{data: v, memory: memory}
	t.refs.Store(1)
	return t
}

// arrived makes a tensor of what has come with a frame, or nil.
func arrived(memory *memlimit.Budget, f wire.Frame) *tensor {
	if len(f.Floats) == 0 {
		return nil
	}
	if f.Done == nil {
		return wrap(memory, f.Floats)
	}
	t := &tensor{data: f.Floats, memory: memory, done: f.Done}
	t.refs.Store(1)
	return t
}

func bytesIn(v []float32) int64 { return 4 * int64(len(v)) }

// keep adds a reference.
func (t *tensor) keep() *tensor {
	t.refs.Add(1)
	return t
}

// release gives a reference back. A nil tensor has none.
func (t *tensor) release() {
	if t == nil {
		return
	}
	switch n := t.refs.Add(-1); {
	case n == 0:
		if t.done != nil {
			t.done()
		} else {
			t.memory.Give(bytesIn(t.data))
		}
		wire.Reuse(t.data)
		t.data = nil
	case n < 0:
		panic("server: invariant: a tensor was released twice")
	}
}

// own returns a tensor with t's contents that only the caller holds: t itself, or
// a copy when frames on their way still need t. The caller's reference to t goes
// over to the result.
func (t *tensor) own() *tensor {
	if t.refs.Load() == 1 {
		return t
	}
	c := wrap(t.memory, slices.Clone(t.data))
	t.release()
	return c
}
