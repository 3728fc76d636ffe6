package server

import (
	"slices"
	"sync/atomic"

	"github.com/gespann/gespann/dist/wire"
)

// A tensor is a vector that several frames on their way may share. Rules:
//
//   - refs counts who may read it: the job that has it as base or center, and every
//     frame that is queued with it. Each gives its reference back once.
//   - It is written to only by the goroutine that owns the machine, and only while
//     that holds the one reference; otherwise a copy takes its place (see own).
//   - With the last reference the memory is given back.
type tensor struct {
	data []float32
	refs atomic.Int32
}

// wrap makes a tensor, with one reference, of memory that is the caller's to give.
func wrap(v []float32) *tensor {
	t := &tensor{data: v}
	t.refs.Store(1)
	return t
}

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
	c := wrap(slices.Clone(t.data))
	t.release()
	return c
}
