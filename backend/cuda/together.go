package cuda

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/internal/data"
)

// Parts of a gradient run that meet (package meet) are run launch by launch up to where
// they meet. Their sums come to host memory, and what becomes of those of all parts goes
// back: two small copies, and a wait, for each part and point. Each part but the first has
// an arena and gradients of its own.

// A partMemory is the memory of a part beside those that the session has itself.
type partMemory struct {
	arena      address
	arenaBytes int64
	grads      vector
}

// needParts adds the memory of all shards of a run but the first, where they meet: any
// number of workers, one at last, may have to take them.
func (pl *planner) needParts(n *need, batch int) error {
	shards := rules.CutOf(pl.job, true).PerRun()
	rows := min(batch, pl.job.Data.Parts[data.Train].Rows)
	if shards < 2 || rows == 0 {
		return nil
	}
	p, err := pl.get(programKey{kind: gradient, rows: (rows + shards - 1) / shards, meets: true})
	if err != nil || len(p.Meetings) == 0 {
		return err
	}
	n.parts = int64(shards-1) * (align(p.ArenaBytes) + n.grads)
	return nil
}

// Meets reports whether the parts of a gradient run meet.
func (s *session) Meets() bool { return len(s.points) > 0 }

// A guest is a part that is being run.
type guest struct {
	pr     *program
	at     *places
	list   []command
	next   int
	v      []float64 // at the point at hand
	memory int
}

// Together computes the gradients of parts of a run.
func (s *session) Together(ctx context.Context, at backend.StepAt, parts []backend.Part,
	how backend.Together) (outcomes []backend.Outcome, err error) {
	if err := s.checkReplica(ctx); err != nil {
		return nil, err
	}
	if how.Each == nil && len(parts) > 1 || how.Each != nil && how.Add {
		return nil, fmt.Errorf("together: %d parts, want one, or gradients apart that are not added", len(parts))
	}
	for _, part := range parts {
		if part.Rows == 0 {
			continue
		}
		if err := rules.CheckPart(&s.job, part); err != nil {
			return nil, fmt.Errorf("together: %w", err)
		}
	}
	err = s.dev.Do(func() (err error) { outcomes, err = s.together(at, parts, &how); return err })
	if err != nil {
		return nil, fmt.Errorf("cuda: gradient of step %d: %w", at.Done+1, advised(err))
	}
	for i, part := range parts {
		if part.Rows > 0 && how.Each != nil {
			if err := how.Each(i, floats32(s.memoryOf(i).host)[:s.flat.size]); err != nil {
				return nil, err
			}
		}
	}
	if how.Ready != nil {
		how.Ready(s.flat.size)
	}
	return outcomes, nil
}

func (s *session) together(at backend.StepAt, parts []backend.Part, how *backend.Together) ([]backend.Outcome, error) {
	guests := make([]*guest, len(parts))
	own := make([][]float64, len(parts))
	for i, part := range parts {
		if part.Rows == 0 {
			continue
		}
		var err error
		if guests[i], err = s.receive(at, part, i, how.Add); err != nil {
			return nil, err
		}
	}
	for index, point := range s.points {
		for i, g := range guests {
			if g == nil {
				own[i] = point.Vector()
				continue
			}
			if err := s.arrive(g, index, point); err != nil {
				return nil, err
			}
			own[i] = g.v
		}
		all, err := how.Meet(own)
		if err != nil {
			return nil, err
		}
		if len(all) != meet.Len(point.Channels) {
			return nil, fmt.Errorf("parts met with %d numbers, want %d", len(all), meet.Len(point.Channels))
		}
		for _, g := range guests {
			if g == nil {
				continue
			}
			if err := s.leave(g, &g.pr.Meetings[index], all); err != nil {
				return nil, err
			}
		}
	}
	outcomes := make([]backend.Outcome, len(parts))
	for i, g := range guests {
		if g == nil {
			continue
		}
		if err := s.launch(g.list[g.next:], nil); err != nil {
			return nil, err
		}
		m := s.memoryOf(i)
		if err := s.dev.Download(m.host[:s.flat.bytes()], m.at); err != nil {
			return nil, err
		}
		var err error
		if outcomes[i], err = s.outcome(g.pr, g.at, parts[i].Rows); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// receive begins a part in place i of a run.
func (s *session) receive(at backend.StepAt, part backend.Part, i int, add bool) (*guest, error) {
	if s.streamed && i > 0 {
		if err := s.dev.Sync(); err != nil { // the stage is still being read
			return nil, err
		}
	}
	if add {
		if err := s.dev.Upload(s.flat.at, s.flat.host[:s.flat.bytes()]); err != nil {
			return nil, err
		}
	}
	key, err := s.loadPart(at, part, add)
	if err != nil {
		return nil, err
	}
	pr, err := s.program(programKey{kind: gradient, rows: part.Rows, variant: add, meets: true})
	if err != nil {
		return nil, err
	}
	if len(pr.Meetings) != len(s.points) {
		return nil, fmt.Errorf("the program of %d rows meets %d times, that of a batch %d", part.Rows, len(pr.Meetings), len(s.points))
	}
	places := s.bind(pr, data.Train, key.stage)
	if err := s.lodge(places, pr, i); err != nil {
		return nil, err
	}
	list, err := s.batchCommands(pr, places, data.Train, plan.Batch{Weight: key.weight, Accumulate: 1})
	if err != nil {
		return nil, err
	}
	for k := range list {
		if err := s.prepare(pr.Plan, &list[k].Launch); err != nil {
			return nil, err
		}
	}
	// Only this reads the Control block and the stage.
	return &guest{pr: pr, at: places, list: list, next: 1, memory: i}, s.launch(list[:1], nil)
}

// lodge gives a part in place i of a run memory.
func (s *session) lodge(at *places, pr *program, i int) error {
	if i == 0 {
		return nil
	}
	for len(s.others) < i {
		m := &partMemory{grads: vector{size: s.flat.size}}
		bytes := align(int64(s.flat.size)*4 + 16)
		var err error
		if m.grads.at, err = s.zeros(bytes); err != nil {
			return err
		}
		if m.grads.host, err = s.dev.Pinned(s.flat.bytes()); err != nil {
			return err
		}
		s.others = append(s.others, m)
	}
	m := s.others[i-1]
	if m.arenaBytes < pr.ArenaBytes {
		if m.arena != 0 {
			if err := errors.Join(s.dev.Sync(), s.dev.Release(m.arena)); err != nil {
				return err
			}
		}
		var err error
		if m.arena, err = s.zeros(pr.ArenaBytes); err != nil {
			return err
		}
		m.arenaBytes = pr.ArenaBytes
	}
	at.base[plan.Arena] = m.arena
	at.grads = make([]address, len(s.at.grads))
	for v, a := range s.at.grads {
		at.grads[v] = m.grads.at + (a - s.flat.at)
	}
	return nil
}

// memoryOf returns the gradients of the part in place i of a run.
func (s *session) memoryOf(i int) *vector {
	if i == 0 {
		return &s.flat
	}
	return &s.others[i-1].grads
}

// arrive runs a part to a point, and writes its vector.
func (s *session) arrive(g *guest, index int, point meet.Point) error {
	m := &g.pr.Meetings[index]
	if m.Channels != point.Channels {
		return fmt.Errorf("point %d has %d channels, in the program of a batch %d", index, m.Channels, point.Channels)
	}
	end := g.next
	for g.list[end].Instr != m.Instr {
		end++
	}
	if err := s.launch(g.list[g.next:end+1], nil); err != nil {
		return err
	}
	g.next, g.v = end+1, point.Vector()
	a, b := meet.Channels(g.v)
	sums := make([]float64, len(a)+len(b))
	if err := s.dev.Download(bytesOf(sums), g.at.address(m.Sums)); err != nil {
		return err
	}
	if err := s.dev.Sync(); err != nil {
		return err
	}
	copy(b, sums[copy(a, sums):])
	meet.SetCount(g.v, m.Rows)
	return nil
}

// leave writes what becomes of the sums of all parts where the next launch reads it, and
// ends the instruction: where it reads may be Scratch, which parts share.
func (s *session) leave(g *guest, m *plan.Meeting, all []float64) error {
	if m.A.Buffer == plan.Null {
		return nil // nothing follows
	}
	a, b := meet.Channels(all)
	n := meet.Count(all)
	x, y := make([]float32, len(a)), make([]float32, len(b))
	if g.pr.Program.Instrs[m.Instr].Op == ir.BatchNorm {
		for i := range a {
			x[i], y[i] = float32(a[i]), float32(b[i]/n)
		}
	} else {
		variance, err := s.values32(g.at.address(m.Variance), len(a))
		if err != nil {
			return err
		}
		share := float64(m.Rows) / n
		for i := range a {
			x[i] = float32(a[i] * share)
			rstd := 1 / math.Sqrt(float64(variance[i])+float64(float32(m.Eps))) // as batch_norm_sums
			y[i] = float32(b[i] * rstd * share)
		}
	}
	if err := s.dev.Upload(g.at.address(m.A), bytesOf(x)); err != nil {
		return err
	}
	if err := s.dev.Upload(g.at.address(m.B), bytesOf(y)); err != nil {
		return err
	}
	first := g.next
	for g.next < len(g.list) && g.list[g.next].Instr == m.Instr {
		g.next++
	}
	return s.launch(g.list[first:g.next], nil)
}
