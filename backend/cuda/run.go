package cuda

import (
	"context"
	"fmt"

	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/internal/data"
)

// A runKey names a run: a step of training on so many rows, or a batch of an
// evaluation.
type runKey struct {
	train bool
	split data.Split
	rows  int
	stage int // that the rows come from; -1: all rows are on the device
}

// A run is everything that the device does for a step, captured.
type run struct {
	commands []command
	graph    graph
}

// run returns the captured run of that name.
func (s *session) run(key runKey) (*run, error) {
	if r := s.runs[key]; r != nil {
		return r, nil
	}
	commands, err := s.commands(key)
	if err != nil {
		return nil, err
	}
	r := &run{commands: commands}
	r.graph, err = s.dev.Capture(func() error { return s.launchLanes(r.commands) })
	if err != nil {
		return nil, err
	}
	s.runs[key] = r
	return r, nil
}

// commands lists what a run does.
func (s *session) commands(key runKey) ([]command, error) {
	if key.train {
		return s.stepCommands(key)
	}
	p, err := s.program(programKey{kind: forward, rows: key.rows, variant: true})
	if err != nil {
		return nil, err
	}
	at := s.bind(p, key.split, key.stage)
	list, err := s.batchCommands(p, at, key.split, plan.Batch{Weight: 1, Accumulate: 1})
	return append(list, endCommand(p, at, plan.End{Rows: key.rows, Last: true})), err
}

// stepCommands lists the gradient runs of a step and the update. The weight of a
// batch is its share of the step's rows, so the gradient is the mean over all
// rows whatever their number.
func (s *session) stepCommands(key runKey) ([]command, error) {
	up, err := s.program(programKey{kind: update})
	if err != nil {
		return nil, err
	}
	var list []command
	for micro, first := 0, 0; first < key.rows; micro, first = micro+1, first+s.job.BatchSize {
		rows := min(s.job.BatchSize, key.rows-first)
		p, err := s.program(programKey{kind: gradient, rows: rows, variant: micro > 0})
		if err != nil {
			return nil, err
		}
		at := s.bind(p, key.split, key.stage)
		batch, err := s.batchCommands(p, at, key.split, plan.Batch{
			Weight: float32(rows) / float32(key.rows), Micro: micro, Accumulate: s.job.Accumulate,
		})
		if err != nil {
			return nil, err
		}
		list = append(list, batch...)
		end := plan.End{Rows: rows, Last: first+rows == key.rows}
		if end.Last {
			end.Update = up.Plan
		}
		list = append(list, endCommand(p, at, end))
	}
	end, err := s.programCommands(up, s.bind(up, key.split, key.stage))
	return append(list, end...), err
}

// batchCommands lists the gathering of a batch and the program's instructions.
func (s *session) batchCommands(p *program, at *places, split data.Split, b plan.Batch) ([]command, error) {
	b.X, b.Y = s.parts[split].x.Column, s.parts[split].y.Column
	list, err := s.programCommands(p, at)
	return append([]command{gatherCommand(p, at, b)}, list...), err
}

func gatherCommand(p *program, at *places, b plan.Batch) command {
	c := command{Launch: p.Gather(b), plan: p.Plan, batch: &b, at: at}
	c.args = at.pack(c.Args)
	return c
}

func endCommand(p *program, at *places, e plan.End) command {
	c := command{Launch: p.EndBatch(e), plan: p.Plan, end: &e, at: at}
	c.args = at.pack(c.Args)
	return c
}

func (s *session) programCommands(p *program, at *places) ([]command, error) {
	list := make([]command, 0, len(p.Launches))
	for _, l := range p.Launches {
		commands, err := s.choose(p.Plan, l, at)
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", l.Kernel, advised(err))
		}
		list = append(list, commands...)
	}
	return list, nil
}

// launch makes launches in order. After, if not nil, is called behind each.
func (s *session) launch(list []command, after func() error) error {
	for i := range list {
		err := s.dev.Launch(&list[i])
		what := "launch"
		if err == nil && after != nil {
			what = "run"
			err = after()
		}
		if err != nil {
			return list[i].fault(what, err)
		}
	}
	return nil
}

// fault says where an error happened.
func (c *command) fault(what string, err error) error {
	if c.Instr < 0 {
		return fmt.Errorf("%s of program %s: %s: %w", c.Kernel, c.plan.Program.Name, what, advised(err))
	}
	return &instrError{c.plan.Program, c.Instr, what, err}
}

// rehearse tries every run once, launch by launch, and captures it, so that no
// span has to. While the Control block says halt, runs change nothing.
func (s *session) rehearse(ctx context.Context) error {
	keys := s.allRuns()
	if len(keys) == 0 {
		return s.dev.Sync()
	}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		commands, err := s.commands(key)
		if err != nil {
			return err
		}
		for i := range commands {
			if commands[i].Instr < 0 {
				if err := s.prepare(commands[i].plan, &commands[i].Launch); err != nil {
					return err
				}
			}
		}
		halted := plan.ControlBlock{Perm: data.InOrder(s.rows(key.split)).Key(), Halt: 1}
		if err := s.dev.Upload(s.at.base[plan.Control], halted.Bytes()); err != nil {
			return err
		}
		if err := s.launch(commands, s.dev.Sync); err != nil {
			return err
		}
		if _, err := s.run(key); err != nil {
			return err
		}
	}
	return s.dev.Sync()
}

// allRuns lists the runs of training and evaluation.
func (s *session) allRuns() (keys []runKey) {
	if s.job.Data == nil {
		return nil
	}
	add := func(train bool, split data.Split, unit int) {
		n := s.rows(split)
		sizes := []int{min(unit, n)}
		if n > unit && n%unit > 0 {
			sizes = append(sizes, n%unit)
		}
		for _, rows := range sizes {
			for _, stage := range s.stageNumbers() {
				if rows > 0 {
					keys = append(keys, runKey{train, split, rows, stage})
				}
			}
		}
	}
	add(true, data.Train, s.stepRows())
	for split := range s.parts {
		add(false, data.Split(split), s.job.BatchSize)
	}
	return keys
}

// rows is the number of rows of a split.
func (s *session) rows(split data.Split) int { return s.job.Data.Parts[split].Rows }

// stageNumbers lists where rows can come from.
func (s *session) stageNumbers() []int {
	if !s.streamed {
		return []int{-1}
	}
	numbers := make([]int, numStages)
	for i := range numbers {
		numbers[i] = i
	}
	return numbers
}
