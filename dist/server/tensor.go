package server

import (
	"sync"
	"sync/atomic"
)

// A tensor is a vector that several frames on their way may share. Rules:
//
//   - refs counts who may read it: the job that has it as base or center, and every
//     frame that is queued with it. Each gives its reference back once.
//   - It is written to only by the goroutine that owns the machine, and only while
//     that holds the one reference; otherwise a copy takes its place (see own).
//   - With the last reference the memory goes back to the pool.
type tensor struct {
	data []float32
	refs atomic.Int32
	pool *pool
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
		t.pool.put(t.data)
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
	c := t.pool.get(len(t.data))
	copy(c.data, t.data)
	t.release()
	return c
}

// A pool keeps the memory of tensors for the next ones. Commits come in, replies
// go out, and both are as long.
type pool struct {
	mu   sync.Mutex
	free [][]float32
}

// maxFree is how many vectors a pool keeps.
const maxFree = 8

// get returns a tensor of n numbers, whatever they are, with one reference.
func (p *pool) get(n int) *tensor {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, v := range p.free {
		if len(v) == n {
			last := len(p.free) - 1
			p.free[i], p.free[last] = p.free[last], nil
			p.free = p.free[:last]
			return p.wrap(v)
		}
	}
	return p.wrap(make([]float32, n))
}

// wrap makes a tensor of memory that is the caller's to give.
func (p *pool) wrap(v []float32) *tensor {
	t := &tensor{data: v, pool: p}
	t.refs.Store(1)
	return t
}

func (p *pool) put(v []float32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < maxFree && len(v) > 0 {
		p.free = append(p.free, v)
	}
}
