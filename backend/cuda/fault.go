package cuda

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/internal/data"
)

// A step is replayed as a whole, and a kernel that fails in it is noticed later, at
// any call. To name it, the launches of the step that was not finished are made
// again, one by one, with the same rows: on the same device when it still answers,
// else on the device opened anew. There the variables are zeros, which is enough:
// no kernel computes an address from them. Nothing is written to disk meanwhile, so
// the last checkpoint stays what it was.

// A passFault is an error that a pass ended with, not yet explained.
type passFault struct {
	p    pass
	unit int // that was not finished
	err  error
}

func (f *passFault) Error() string { return fmt.Sprintf("%s: %v", f.where(), advised(f.err)) }

func (f *passFault) Unwrap() error { return f.err }

// where names the unit.
func (f *passFault) where() string {
	if f.p.train {
		return fmt.Sprintf("cuda: step %d", f.p.done+int64(f.unit-f.p.first)+1)
	}
	return fmt.Sprintf("cuda: evaluate: batch %d", f.unit+1)
}

// faultIn notes where a pass failed. A failing launch that is known is named as it
// is.
func (s *session) faultIn(p *pass, err error) error {
	f := &passFault{*p, s.unit, err}
	if s.at.base[plan.Progress] != 0 {
		done := int(int32(binary.LittleEndian.Uint32(s.host.progress)))
		f.unit = min(p.first+max(done, 0), s.unit)
	}
	return f
}

// explained finds the launch behind a fault. Where the device has died it is given
// back, and the session is closed.
func (s *session) explained(ctx context.Context, err error) error {
	var f *passFault
	if !errors.As(err, &f) {
		return err
	}
	var known *instrError
	if errors.As(f.err, &known) {
		return err
	}
	var list []command
	culprit := s.dev.Do(func() (err error) {
		if err = s.dev.Sync(); err != nil {
			return err // it has died
		}
		list, err = s.relive(f, true)
		return err
	})
	if culprit == nil {
		return f.suspecting(list, "none of the step's %d launches fails alone")
	}
	if errors.As(culprit, new(*launchFault)) {
		return fmt.Errorf("%s: %w", f.where(), culprit)
	}
	if s.reopen == nil {
		return f
	}
	return s.reliveElsewhere(ctx, f)
}

// reliveElsewhere looks for the launch on the device opened anew.
func (s *session) reliveElsewhere(ctx context.Context, f *passFault) error {
	s.Close() // its error is that of the device
	dev, err := s.reopen()
	if err != nil {
		return fmt.Errorf("%w; opening the card again: %w", f, advised(err))
	}
	other := newSession(s.job, dev)
	other.streamed, other.planner.stage, other.large = s.streamed, s.planner.stage, s.large
	if _, err := other.opened(ctx, s.planner.options); err != nil {
		return fmt.Errorf("%s: %w: %w", f.where(), f.err, err)
	}
	defer other.Close()
	var list []command
	err = dev.Do(func() (err error) { list, err = other.relive(f, false); return err })
	if err != nil {
		return fmt.Errorf("%s: %w", f.where(), err)
	}
	return f.suspecting(list, "none of the step's %d launches fails on the card opened anew")
}

// relive makes the launches of a unit one by one. Halted, the device changes no
// variable. Errors are *launchFault.
func (s *session) relive(f *passFault, halted bool) ([]command, error) {
	p, stage, order, first := &f.p, -1, f.p.order, f.unit*f.p.rows
	if s.streamed {
		stage = 0
		if err := s.stage(p, f.unit, f.unit+1, stage); err != nil {
			return nil, err
		}
		order, first = data.InOrder(p.size(f.unit)), 0
	}
	list, err := s.commands(runKey{p.train, p.split, p.size(f.unit), stage})
	if err != nil {
		return nil, err
	}
	control := plan.ControlBlock{Done: p.done + int64(f.unit-p.first), Tick: p.tick}
	if halted {
		control.Halt = 1
	}
	if err := s.controlAt(control, order, first); err != nil {
		return nil, err
	}
	if err := s.dev.Sync(); err != nil {
		return nil, err
	}
	if err := s.launch(list, s.dev.Sync); err != nil {
		return nil, &launchFault{err}
	}
	return list, nil
}

// A launchFault says which launch failed.
type launchFault struct{ err error }

func (e *launchFault) Error() string { return e.err.Error() }

func (e *launchFault) Unwrap() error { return e.err }

// suspecting names the launch that is most likely at fault. Addresses that come
// from data are the likeliest to be wrong; else it is whatever has most threads.
func (f *passFault) suspecting(list []command, how string) error {
	if len(list) == 0 {
		return f
	}
	at := 0
	address := strings.Contains(f.err.Error(), "ADDRESS")
	for i := range list {
		embeds := strings.HasPrefix(list[i].Kernel, "embedding")
		if address && embeds {
			at = i
			break
		}
		if !address && list[i].threads() > list[at].threads() {
			at = i
		}
	}
	return fmt.Errorf("%w: "+how+"; most likely is %s", f, len(list), list[at].name())
}

// threads is the number of threads of a launch.
func (c *command) threads() uint64 {
	n := uint64(1)
	for i := range 3 {
		n *= uint64(c.Grid[i]) * uint64(c.Block[i])
	}
	return n
}

// name names a launch: its instruction with shapes, or kernel and program.
func (c *command) name() string {
	if c.Instr < 0 {
		return fmt.Sprintf("%s of program %s", c.Kernel, c.plan.Program.Name)
	}
	return (&instrError{p: c.plan.Program, at: c.Instr}).name()
}
