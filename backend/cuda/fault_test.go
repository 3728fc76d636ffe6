package cuda

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/internal/checkpoint"
	"github.com/gespann/gespann/internal/data"
)

// failingIn returns a failure of an op in the step that comes after so many.
func failingIn(f **fake, op string, done int64, err error) func(c *command) error {
	return func(c *command) error {
		control := plan.ParseControl((*f).memory(c.at.base[plan.Control], plan.ControlBytes))
		if c.Instr >= 0 && c.plan.Program.Instrs[c.Instr].Op.String() == op && control.Done == done &&
			strings.HasPrefix(c.plan.Program.Name, "gradient") {
			return err
		}
		return nil
	}
}

// TestFaultInGraph checks that a fault in a replayed step names the launch, on a
// device that answers again, on one that has died, and on one that cannot be opened
// again; and that a fault that does not come back names the step.
func TestFaultInGraph(t *testing.T) {
	const address = "CUDA_ERROR_ILLEGAL_ADDRESS"
	named := "cuda: step 3: softmax_xent (model[4] softmax_xent) x [16,3] [16]: launch: "
	for _, c := range []struct {
		name           string
		mortal, reopen bool
		once           bool
		err, want      string
	}{
		{"alive", false, false, false, "CUDA_ERROR_INVALID_VALUE", named + "CUDA_ERROR_INVALID_VALUE"},
		{"opened again", true, true, false, address, named + address},
		{"dead", true, false, false, address, "cuda: step 3: " + address},
		{"once, alive", false, false, true, "CUDA_ERROR_UNKNOWN", "cuda: step 3: CUDA_ERROR_UNKNOWN: none of the step's"},
		{"once, dead", true, true, true, address, "cuda: step 3: " + address + ": none of the step's"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, plenty)
			job := backendtest.Job(t, 16, 1)
			s := openTiny(t, f, job)
			failing := failingIn(&f, "softmax_xent", 2, driverError{c.err})
			hits := 0
			f.mortal, f.fail = c.mortal, func(x *command) error {
				err := failing(x)
				if err != nil {
					if hits++; c.once && hits > 1 {
						return nil
					}
				}
				return err
			}
			old := f
			if c.reopen {
				s.reopen = func() (device, error) {
					fresh := newFake(t, plenty)
					fresh.fail = old.fail
					f = fresh
					return fresh, nil
				}
			}
			_, n, err := s.Train(t.Context(), wholeEpoch(s))
			if n != 0 || err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("Train = %d, %v, want 0, %s", n, err, c.want)
			}
			var driver driverError
			if !errors.As(err, &driver) || driver.name != c.err {
				t.Errorf("%v does not wrap %s", err, c.err)
			}
			if c.reopen && (old.closed != 1 || f == old || f.closed != 1) {
				t.Errorf("the device was closed %d times, the one opened again %d times, want once each", old.closed, f.closed)
			}
		})
	}
}

// TestFaultInEvaluation checks that a batch of an evaluation is named.
func TestFaultInEvaluation(t *testing.T) {
	f := newFake(t, plenty)
	s := openTiny(t, f, backendtest.Job(t, 16, 1))
	f.fail = func(c *command) error {
		if c.end == nil && c.Instr >= 0 && c.plan.Program.Instrs[c.Instr].Op.String() == "softmax_xent" {
			return driverError{"CUDA_ERROR_LAUNCH_TIMEOUT"}
		}
		return nil
	}
	_, err := s.Evaluate(t.Context(), data.Test)
	want := "cuda: evaluate: batch 1: softmax_xent (model[4] softmax_xent) x [16,3] [16]: launch: CUDA_ERROR_LAUNCH_TIMEOUT"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// faulty opens sessions whose device dies in a late step.
type faulty struct{ t *testing.T }

func (b faulty) Open(ctx context.Context, job backend.Job) (backend.Session, error) {
	f := newFake(b.t, plenty)
	s := newSession(job, f)
	s.reopen = func() (device, error) {
		return nil, driverError{"CUDA_ERROR_UNKNOWN"}
	}
	opened, err := s.opened(ctx, plan.Options{})
	f.mortal, f.fail = true, failingIn(&f, "softmax_xent", 17, driverError{"CUDA_ERROR_LAUNCH_FAILED"})
	return opened, err
}

// TestFaultKeepsCheckpoint checks that a run whose device dies leaves the last
// checkpoint whole, and says why it ended.
func TestFaultKeepsCheckpoint(t *testing.T) {
	backend.Register("faulty", faulty{t})
	r := newRunner(t, runSpecs["mlp, adam, accumulation"], "faulty")
	err := r.try(0)
	if err == nil || !strings.Contains(err.Error(), "cuda: step 18: CUDA_ERROR_LAUNCH_FAILED; opening the card again: CUDA_ERROR_UNKNOWN") {
		t.Errorf("the run ended with %v, want step 18 and why", err)
	}
	files, err := filepath.Glob(filepath.Join(r.dir, "checkpoints", "*"))
	if err != nil || len(files) == 0 {
		entries, _ := os.ReadDir(r.dir)
		t.Fatalf("there is no checkpoint in %s: %v, %v", r.dir, entries, err)
	}
	for _, file := range files {
		if _, err := checkpoint.Read(file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
