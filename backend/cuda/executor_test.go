package cuda

import (
	"math"
	"testing"
	"unsafe"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// An executor runs programs of host memory on a device, for the suite of ops: it
// copies all values there before, and back after.
type executor struct {
	t   *testing.T
	dev device
	o   plan.Options
	// large is the number of operations from which on a product is the library's;
	// 0: never.
	large int64
}

func (e *executor) Close() {
	if err := e.dev.Close(); err != nil {
		e.t.Error(err)
	}
}

func (e *executor) Compile(p *ir.Program, slots host.Slots) (r host.Runner, err error) {
	err = e.dev.Do(func() (err error) { r, err = e.compile(p, slots); return err })
	return r, err
}

func (e *executor) compile(p *ir.Program, slots host.Slots) (host.Runner, error) {
	if e.large == 0 {
		e.large = math.MaxInt64
	}
	planned, err := plan.Build(p, e.o)
	if err != nil {
		return nil, err
	}
	var vars []ir.Var
	for i := range p.Values {
		if v := &p.Values[i]; v.Kind == ir.Variable || v.Kind == ir.Grad {
			for len(vars) <= v.Var {
				vars = append(vars, ir.Var{Shape: []int{1}})
			}
			vars[v.Var].Shape = v.Shape
		}
	}
	s := &session{dev: e.dev, vars: vars, programs: map[programKey]*program{}, partRuns: map[partKey]*run{}, large: e.large}
	if err := s.allocate(); err != nil {
		return nil, err
	}
	if err := s.reserve(planned); err != nil {
		return nil, err
	}
	at := s.at
	if planned.TableBytes() > 0 {
		if at.base[plan.Tables], err = s.zeros(planned.TableBytes()); err != nil {
			return nil, err
		}
		if err := s.dev.Upload(at.base[plan.Tables], at.table(planned.Table)); err != nil {
			return nil, err
		}
	}
	for i := range planned.Launches {
		if err := s.prepare(planned, &planned.Launches[i]); err != nil {
			return nil, err
		}
	}
	commands, err := s.programCommands(&program{Plan: planned}, &at)
	if err != nil {
		return nil, err
	}
	return &deviceRunner{e, s, planned, slots, commands}, s.dev.Sync()
}

type deviceRunner struct {
	*executor
	s        *session
	plan     *plan.Plan
	slots    host.Slots
	commands []command
}

func (r *deviceRunner) Run() { r.run(r.commands) }

func (r *deviceRunner) Exec(i int) {
	var list []command
	for _, c := range r.commands {
		if c.Instr == i {
			list = append(list, c)
		}
	}
	r.run(list)
}

func (r *deviceRunner) run(list []command) {
	r.t.Helper()
	err := r.dev.Do(func() error {
		if err := r.copy(r.dev.Upload); err != nil {
			return err
		}
		if err := r.s.launch(list, r.dev.Sync); err != nil {
			return err
		}
		if err := r.copy(func(at address, b []byte) error { return r.dev.Download(b, at) }); err != nil {
			return err
		}
		return r.dev.Sync()
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// copy calls f with each value's place on the device and in the host's memory.
func (r *deviceRunner) copy(f func(address, []byte) error) error {
	for i := range r.plan.Values {
		if r.plan.Program.Values[i].Kind == ir.View {
			continue
		}
		v := r.slots.F[i]
		if ints := r.slots.I[i]; ints != nil {
			v = unsafe.Slice((*float32)(unsafe.Pointer(&ints[0])), len(ints))
		}
		if err := f(r.s.at.address(r.plan.Values[i]), bytesOf(v)); err != nil {
			return err
		}
	}
	return nil
}

// TestOps runs the suite of all ops on a fake: that plans say where values are,
// and fit what they are of.
func TestOps(t *testing.T) {
	backendtest.Ops(t, func(t *testing.T) host.Executor {
		return &executor{t: t, dev: newFake(t, plenty)}
	})
}
