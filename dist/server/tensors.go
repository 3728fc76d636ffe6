package server

import (
	"fmt"
	"slices"

	"github.com/gespann/gespann/dist/coord"
	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/memlimit"
)

const roleOptimizer = "optimizer"

// tensors are what a coordinator holds of a job. Only the goroutine that owns
// the machine uses them.
type tensors struct {
	vars []wire.Var
	*form
	memory  *memlimit.Budget
	yard    yardstick
	pattern strategy.Pattern
	fresh   func() strategy.Center // nil: the strategy has none
	center  strategy.Center        // of the state that was restored last

	base    *tensor   // all variables, as last kept; of an ensemble, the first member's
	merged  *tensor   // the center: parameters and states
	members []*tensor // of an ensemble, all variables of each; before Restore, nil

	replies map[string]*tensor // by worker, for its latest commit
	held    map[string]commit  // by worker, for the round
}

// A commit is a worker's result, kept for the end of a round.
type commit struct {
	*tensor
	steps int
}

// newTensors returns the tensors of a job with so many members: 0 unless it is an
// ensemble.
func newTensors(vars []wire.Var, p strategy.Pattern, fresh func() strategy.Center, members int) *tensors {
	t := &tensors{
		vars: vars, form: newForm(vars), pattern: p, fresh: fresh, members: make([]*tensor, members),
		replies: map[string]*tensor{}, held: map[string]commit{},
	}
	return t
}

func size(v wire.Var) int {
	n := 1
	for _, dim := range v.Shape {
		n *= dim
	}
	return n
}

// expects returns how many numbers go with a message.
func (t *tensors) expects(m wire.Message) int {
	switch m.(type) {
	case *wire.Restore:
		return t.all * max(len(t.members), 1)
	case *wire.State:
		return t.all
	case *wire.Commit:
		if t.pattern == strategy.Members {
			return t.all
		}
		return t.shared
	}
	return 0
}

// keep does coord.Keep with all variables; with center, of all members.
func (t *tensors) keep(vars *tensor, center bool) {
	t.base.release()
	if center || t.yard.recent == nil {
		t.yard.restored(vars.look)
	}
	if center && t.pattern == strategy.Members {
		t.split(vars.data)
		t.base = t.members[0].keep()
		return
	}
	t.base = vars.keep()
	if !center {
		return
	}
	t.merged.release()
	t.merged = wrap(t.memory, make([]float32, t.shared))
	t.copyShared(t.merged.data, vars.data, false)
	if t.fresh != nil {
		t.center = t.fresh()
	}
}

// split gives each member of an ensemble its part of all variables.
func (t *tensors) split(all []float32) {
	for i := range t.members {
		t.members[i].release()
		t.members[i] = wrap(t.memory, slices.Clone(all[i*t.all:(i+1)*t.all]))
	}
}

// join returns all variables of all members.
func (t *tensors) join() (*tensor, error) {
	if err := t.memory.Try(4*int64(t.all*len(t.members)), snapshotText); err != nil {
		return nil, err
	}
	out := make([]float32, 0, t.all*len(t.members))
	for i := range t.members {
		v, err := t.member(i)
		if err != nil {
			t.memory.Give(4 * int64(t.all*len(t.members)))
			return nil, err
		}
		out = append(out, v.data...)
		v.release()
	}
	return t.counted(out), nil
}

// copyShared copies parameters and states between shared, a vector of them alone,
// and all: to shared, or with back from it.
func (t *tensors) copyShared(shared, all []float32, back bool) {
	for _, v := range t.vars {
		n := size(v)
		if v.Role != roleOptimizer {
			if back {
				copy(all[:n], shared)
			} else {
				copy(shared, all[:n])
			}
			shared = shared[n:]
		}
		all = all[n:]
	}
}

// merge does coord.Merge. The memory of the result becomes that of the reply.
func (t *tensors) merge(a coord.Merge, result *tensor) error {
	if t.pattern == strategy.Members {
		before, err := t.member(a.Member)
		if err != nil {
			return fmt.Errorf("merge: %w", err)
		}
		before.release()
		t.members[a.Member].release()
		t.members[a.Member] = result.keep()
		t.yard.used(a.ID, result.look)
		return nil
	}
	if t.merged == nil || t.center == nil {
		return fmt.Errorf("merge without a center")
	}
	t.merged = t.merged.own()
	t.center.Merge(t.merged.data, result.data, a.Staleness)
	t.replies[a.ID].release()
	t.replies[a.ID] = result.keep()
	t.yard.used(a.ID, result.look)
	return nil
}

// hold does coord.Hold.
func (t *tensors) hold(a coord.Hold, result *tensor) {
	if old, ok := t.held[a.ID]; ok {
		old.release()
	}
	t.held[a.ID] = commit{result.keep(), a.Steps}
	t.yard.used(a.ID, result.look)
}

// round does coord.Round. What is held of others is dropped.
func (t *tensors) round(a coord.Round) error {
	var commits [][]float32
	var steps []int
	for _, id := range a.IDs {
		c, ok := t.held[id]
		if !ok {
			return fmt.Errorf("round of worker %s, of which nothing is held", id)
		}
		commits, steps = append(commits, c.data), append(steps, c.steps)
	}
	if t.merged == nil || t.center == nil {
		return fmt.Errorf("round without a center")
	}
	if len(commits) > 0 {
		t.merged = t.merged.own()
		t.center.Round(t.merged.data, commits, steps)
	}
	for id, c := range t.held {
		c.release()
		delete(t.held, id)
	}
	return nil
}

// payload returns what goes with a message to a worker, or to the driver (""),
// with a reference for the caller; nil when nothing does.
func (t *tensors) payload(w coord.With, m wire.Message, id string) (*tensor, error) {
	switch w {
	case coord.Nothing:
		return nil, nil
	case coord.Base:
		return held(t.base, "base")
	case coord.Center:
		return t.centerFor(m)
	case coord.Reply:
		reply, err := held(t.replies[id], "reply")
		if err == nil { // it is sent once
			reply.release()
			delete(t.replies, id)
		}
		return reply, err
	case coord.Whole:
		return t.whole()
	}
	return nil, fmt.Errorf("no tensors of kind %d", w)
}

func held(t *tensor, what string) (*tensor, error) {
	if t == nil {
		return nil, fmt.Errorf("no %s is held", what)
	}
	return t.keep(), nil
}

// centerFor returns the center for a message; of an ensemble, that of the member
// that it names.
func (t *tensors) centerFor(m wire.Message) (*tensor, error) {
	if t.pattern != strategy.Members {
		return held(t.merged, "center")
	}
	if m, ok := m.(*wire.Lease); ok {
		return t.member(m.Member)
	}
	return nil, fmt.Errorf("%s has no member of an ensemble", m.Kind())
}

// member returns all variables of a member of an ensemble.
func (t *tensors) member(i int) (*tensor, error) {
	if i < 0 || i >= len(t.members) {
		return nil, fmt.Errorf("there are %d members, not a member %d", len(t.members), i)
	}
	return held(t.members[i], "center")
}

// whole returns all variables: the center's, and the base's optimiser state; of an
// ensemble, those of all members.
func (t *tensors) whole() (*tensor, error) {
	if t.pattern == strategy.Members {
		return t.join()
	}
	if t.base == nil || t.merged == nil {
		return held(t.base, "base")
	}
	if err := t.memory.Try(4*int64(t.all), snapshotText); err != nil {
		return nil, err
	}
	out := slices.Clone(t.base.data)
	t.copyShared(t.merged.data, out, true)
	return t.counted(out), nil
}

const snapshotText = "a copy of all variables"

// counted makes a tensor of memory that was taken from the budget.
func (t *tensors) counted(v []float32) *tensor {
	out := &tensor{data: v, memory: t.memory}
	out.refs.Store(1)
	return out
}

// forget drops what is held for a worker that is gone.
func (t *tensors) forget(id string) {
	t.replies[id].release()
	delete(t.replies, id)
	delete(t.yard.recent, id)
}

// free drops everything.
func (t *tensors) free() {
	all := append([]*tensor{t.base, t.merged}, t.members...)
	for _, v := range t.replies {
		all = append(all, v)
	}
	for _, c := range t.held {
		all = append(all, c.tensor)
	}
	for _, v := range all {
		v.release()
	}
	memory := t.memory
	*t = *newTensors(t.vars, t.pattern, t.fresh, len(t.members))
	t.memory = memory
}

// numVars is how many variables a job may have.
const numVars = wire.MaxVars

// checkVars returns the bytes of all variables, or an error when they are more
// than limit, before any memory is taken.
func checkVars(vars []wire.Var, limit int64) (int64, error) {
	if len(vars) == 0 || len(vars) > numVars {
		return 0, fmt.Errorf("job: got %d variables, want 1 to %d", len(vars), numVars)
	}
	total := int64(0)
	for _, v := range vars {
		n := int64(4)
		for _, dim := range v.Shape {
			if dim < 1 || int64(dim) > limit/n {
				return 0, tooLarge(v, limit)
			}
			n *= int64(dim)
		}
		if !slices.Contains([]string{"param", "state", roleOptimizer}, v.Role) {
			return 0, fmt.Errorf("job: variable %.80s: got role %.20q, want param, state or optimizer", v.Name, v.Role)
		}
		if total += n; total > limit {
			return 0, tooLarge(v, limit)
		}
	}
	return total, nil
}

func tooLarge(v wire.Var, limit int64) error {
	return fmt.Errorf("job: variable %.80s of shape %v: with those before it, more than the %d bytes "+
		"that this coordinator takes", v.Name, v.Shape, limit)
}
