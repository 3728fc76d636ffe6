package cuda

import (
	"context"
	"fmt"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/internal/data"
)

var _ backend.Replica = (*session)(nil)

// A vector is all gradients, one after the other, laid out as in host memory.
type vector struct {
	at      address
	size    int // elements; 0 for a model without a gradient program
	metrics backend.Layout
	host    []byte // pinned; nil until it is wanted
}

// bytes is the size of the vector.
func (v *vector) bytes() int { return 4 * v.size }

// A partKey names a captured run of Gradient or Update.
type partKey struct {
	update bool
	rows   int
	add    bool
	weight float32
	stage  int
}

// maxParts bounds the captured runs of parts: a worker has few sizes of parts, but
// when speeds change there may be new ones all the time.
const maxParts = 64

// placeGradients allocates the gradients: one vector in the order that all backends
// share, where the model has a gradient program.
func (s *session) placeGradients() error {
	offset, size := make([]int, len(s.vars)), 0
	for i, v := range s.vars {
		offset[i] = size
		if v.Role != ir.OptState {
			size += int(varBytes(v) / 4)
		}
	}
	if s.job.Programs != nil {
		if p, err := s.job.Programs.Gradient(false); err == nil {
			offset, size, s.flat.metrics = host.GradientVector(p, s.vars)
			s.flat.size, s.points = size, meet.Points(p)
		}
	}
	bytes := int64(0)
	if size > 0 {
		bytes = align(int64(size)*4 + 16)
	}
	at, err := s.zeros(bytes)
	s.flat.at = at
	for i := range s.vars {
		s.at.grads = append(s.at.grads, at+address(4*offset[i]))
	}
	return err
}

// Gradients returns the vector of all gradients in host memory, nil for a model
// that has no gradient program.
func (s *session) Gradients() []float32 {
	if s.dev == nil || s.flat.size == 0 {
		return nil
	}
	if s.flat.host == nil {
		err := s.dev.Do(func() (err error) { s.flat.host, err = s.dev.Pinned(s.flat.bytes()); return err })
		if err != nil {
			return nil // Gradient says why
		}
		clear(s.flat.host)
	}
	return floats32(s.flat.host)[:s.flat.size]
}

// Outcomes describes the metrics of an Outcome.
func (s *session) Outcomes() backend.Layout { return s.flat.metrics }

// Gradient computes the gradient of a part. All of it is ready at once.
func (s *session) Gradient(ctx context.Context, at backend.StepAt, part backend.Part, add bool,
	ready func(end int)) (o backend.Outcome, err error) {
	if err := s.checkReplica(ctx); err != nil {
		return o, err
	}
	if err := rules.CheckPart(&s.job, part); err != nil {
		return o, fmt.Errorf("gradient: %w", err)
	}
	err = s.dev.Do(func() (err error) { o, err = s.gradient(at, part, add); return err })
	if err != nil {
		return o, fmt.Errorf("cuda: gradient of step %d: %w", at.Done+1, advised(err))
	}
	if ready != nil {
		ready(s.flat.size)
	}
	return o, nil
}

// checkReplica reports why a method of a replica cannot be called.
func (s *session) checkReplica(ctx context.Context) error {
	switch {
	case s.dev == nil:
		return errClosed
	case s.job.Data == nil:
		return fmt.Errorf("the job has no data")
	case s.flat.size == 0:
		return fmt.Errorf("the model has no gradient program")
	case s.Gradients() == nil:
		return fmt.Errorf("cuda: no host memory for gradients of %s", gib(int64(s.flat.bytes())))
	}
	return ctx.Err()
}

func (s *session) gradient(at backend.StepAt, part backend.Part, add bool) (o backend.Outcome, err error) {
	if add {
		if err := s.dev.Upload(s.flat.at, s.flat.host[:s.flat.bytes()]); err != nil {
			return o, err
		}
	}
	key, err := s.loadPart(at, part, add)
	if err != nil {
		return o, err
	}
	pr, err := s.program(programKey{kind: gradient, rows: part.Rows, variant: add})
	if err != nil {
		return o, err
	}
	if err := s.runPart(key); err != nil {
		return o, err
	}
	if err := s.dev.Download(s.flat.host[:s.flat.bytes()], s.flat.at); err != nil {
		return o, err
	}
	return s.outcome(pr, &s.at, part.Rows)
}

// loadPart lets the device see the rows of a part, and names its run.
func (s *session) loadPart(at backend.StepAt, part backend.Part, add bool) (partKey, error) {
	key := partKey{rows: part.Rows, add: add, weight: part.Weight, stage: -1}
	order, first := data.InOrder(s.rows(data.Train)), part.First
	if s.job.Shuffle {
		order = data.NewPerm(s.rows(data.Train), s.job.Seed, at.Epoch)
	}
	if s.streamed {
		key.stage = 0
		if err := s.fill(&s.stages[0], data.Train, order, first, first+part.Rows); err != nil {
			return key, err
		}
		order, first = data.InOrder(part.Rows), 0
	}
	return key, s.controlAt(plan.ControlBlock{Tick: part.Tick}, order, first)
}

// runPart runs Gradient or Update, captured when it is seen for the first time.
func (s *session) runPart(key partKey) error {
	r := s.partRuns[key]
	if r == nil {
		list, err := s.partCommands(key)
		if err != nil {
			return err
		}
		for i := range list {
			if err := s.prepare(list[i].plan, &list[i].Launch); err != nil {
				return err
			}
		}
		if len(s.partRuns) >= maxParts {
			return s.launch(list, nil)
		}
		r = &run{commands: list}
		if r.graph, err = s.dev.Capture(func() error { return s.launchLanes(r.commands) }); err != nil {
			return err
		}
		s.partRuns[key] = r
	}
	return s.dev.Replay(r.graph)
}

func (s *session) partCommands(key partKey) ([]command, error) {
	if key.update {
		up, err := s.program(programKey{kind: update})
		if err != nil {
			return nil, err
		}
		return s.programCommands(up, s.bind(up, data.Train, key.stage))
	}
	pr, err := s.program(programKey{kind: gradient, rows: key.rows, variant: key.add})
	if err != nil {
		return nil, err
	}
	return s.batchCommands(pr, s.bind(pr, data.Train, key.stage), data.Train,
		plan.Batch{Weight: key.weight, Accumulate: 1})
}

// outcome reads loss and metrics of a gradient run, and waits for it.
func (s *session) outcome(pr *program, places *places, rows int) (o backend.Outcome, err error) {
	o = backend.Outcome{Rows: rows, Metrics: make([]float32, s.flat.metrics.Len())}
	var loss [1]float32
	if at, v, ok := pr.Value(ir.OutLoss); ok && v.Kind == ir.Output {
		if err := s.dev.Download(bytesOf(loss[:]), places.address(at)); err != nil {
			return o, err
		}
	}
	next := 0
	for i, name := range s.flat.metrics.Names {
		at, _, ok := pr.Value(ir.MetricPrefix + name)
		if !ok {
			return o, fmt.Errorf("program %s has no metric %s", pr.Program.Name, name)
		}
		to := o.Metrics[next:][:s.flat.metrics.Sizes[i]]
		if err := s.dev.Download(bytesOf(to), places.address(at)); err != nil {
			return o, err
		}
		next += len(to)
	}
	err = s.dev.Sync()
	o.Loss = loss[0]
	return o, err
}

// Update applies Gradients to the variables.
func (s *session) Update(ctx context.Context, at backend.StepAt, rate float32) error {
	if err := s.checkReplica(ctx); err != nil {
		return err
	}
	err := s.dev.Do(func() error { return s.update(at, rate) })
	if err != nil {
		return fmt.Errorf("cuda: update of step %d: %w", at.Done+1, advised(err))
	}
	return nil
}

func (s *session) update(at backend.StepAt, rate float32) error {
	if err := s.dev.Upload(s.flat.at, s.flat.host[:s.flat.bytes()]); err != nil {
		return err
	}
	up, err := s.program(programKey{kind: update})
	if err != nil {
		return err
	}
	if err := s.controlAt(plan.ControlBlock{}, data.InOrder(1), 0); err != nil {
		return err
	}
	if to, v, ok := up.Value(ir.InRate); ok && v.Kind == ir.Input {
		if err := s.dev.Upload(s.at.address(to), bytesOf([]float32{rate})); err != nil {
			return err
		}
	}
	if to, v, ok := up.Value(ir.InStep); ok && v.Kind == ir.Input {
		if err := s.dev.Upload(s.at.address(to), bytesOf([]int32{int32(at.Done + 1)})); err != nil {
			return err
		}
	}
	if err := s.runPart(partKey{update: true, stage: -1}); err != nil {
		return err
	}
	return s.dev.Sync()
}

// Trace finds what is not finite in a part.
func (s *session) Trace(ctx context.Context, at backend.StepAt, part backend.Part, loss float32) error {
	if err := s.checkReplica(ctx); err != nil {
		return err
	}
	if err := rules.CheckPart(&s.job, part); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	e := &backend.NotFiniteError{Step: at.Done + 1, Loss: loss, Layer: backend.UnknownLayer, Value: "loss"}
	err := s.dev.Do(func() error {
		if found, err := s.traceVars(e); found || err != nil {
			return err
		}
		key, err := s.loadPart(at, part, false)
		if err != nil {
			return err
		}
		pr, err := s.program(programKey{kind: gradient, rows: part.Rows, variant: false})
		if err != nil {
			return err
		}
		list, err := s.partCommands(key)
		if err != nil {
			return err
		}
		return s.traceBatch(pr, list, e)
	})
	if err != nil {
		return fmt.Errorf("cuda: %w: looking for its cause: %w", e, advised(err))
	}
	return e
}

// EvaluateBatches calls each with the statistics of batches first ≤ i < last.
func (s *session) EvaluateBatches(ctx context.Context, split data.Split, first, last int,
	each func(backend.Stats)) error {
	if s.dev == nil {
		return errClosed
	}
	rows, err := rules.Split(&s.job, split)
	if err != nil {
		return err
	}
	n, size := rows.Rows, s.job.BatchSize
	if err := rules.CheckBatches(&s.job, n, first, last); err != nil {
		return err
	}
	for i := first; i < last; i++ {
		var stats backend.Stats
		p := pass{split: split, order: data.InOrder(n), first: i, last: i + 1, rows: size}
		var ctxErr error
		err := s.dev.Do(func() (err error) { ctxErr, err = s.evaluateOn(ctx, &p, i, &stats); return err })
		if err != nil {
			return fmt.Errorf("cuda: evaluate: batch %d: %w", i+1, advised(err))
		}
		if ctxErr != nil {
			return ctxErr
		}
		each(stats)
	}
	return nil
}
