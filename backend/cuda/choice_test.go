package cuda

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/internal/data"
)

// someProduct is a product of a library that leaves its epilogue to a kernel, or
// does not.
type someProduct bool

func (p someProduct) Whole() bool { return bool(p) }

// openProducts opens a session whose products all are large enough for a library,
// with batches of so many rows, and returns the library's commands of a step.
func openProducts(t *testing.T, f *fake, rows int, precision plan.Precision) (byLibrary, epilogues int) {
	t.Helper()
	job := backendtest.Job(t, rows, 1)
	own := newSession(job, f)
	own.large = 1
	opened, err := own.opened(t.Context(), plan.Options{SM: 80, Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	s := opened.(*session)
	t.Cleanup(func() { s.Close() })
	if err := s.Restore(t.Context(), job.Programs.(*backendtest.Tiny).Initial()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Train(t.Context(), wholeEpoch(s)); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.runs[runKey{true, data.Train, rows, -1}].commands {
		if c.by != nil {
			byLibrary++
		}
		if c.Kernel == "epilogue" {
			epilogues++
		}
	}
	return byLibrary, epilogues
}

// TestChoice checks which means is chosen, that it is remembered, and that fp32 and
// a library that fails always mean our kernels.
func TestChoice(t *testing.T) {
	library := func(whole bool, err error) func(*plan.Product, plan.Precision, *places) (product, error) {
		return func(*plan.Product, plan.Precision, *places) (product, error) { return someProduct(whole), err }
	}
	for _, c := range []struct {
		name              string
		rows              int
		precision         plan.Precision
		kernel, by        time.Duration
		whole             bool
		fails             bool
		library, epilogue bool
	}{
		{"faster library", 41, plan.TF32, 10, 5, true, false, true, false},
		{"faster library, with epilogues", 43, plan.BF16, 10, 5, false, false, true, true},
		{"about the same", 47, plan.TF32, 100, 97, true, false, false, false},
		{"slower library", 53, plan.TF32, 5, 10, true, false, false, false},
		{"fp32", 59, plan.FP32, 10, 5, true, false, false, false},
		{"failing library", 61, plan.TF32, 10, 5, true, true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			forget()
			f := newFake(t, plenty)
			f.library = library(c.whole, nil)
			f.cost = func(x *command) time.Duration {
				if x.by != nil {
					return c.by * time.Microsecond
				}
				if x.Kernel == "epilogue" {
					return 0
				}
				return c.kernel * time.Microsecond
			}
			f.fail = func(x *command) error {
				if c.fails && x.by != nil {
					return errors.New("status 15")
				}
				return nil
			}
			n, epilogues := openProducts(t, f, c.rows, c.precision)
			if n > 0 != c.library || epilogues > 0 != c.epilogue {
				t.Errorf("%d products of the library and %d epilogues in a step, want any: %v, %v",
					n, epilogues, c.library, c.epilogue)
			}
			found := Choices()
			if c.precision == plan.FP32 {
				if len(found) != 0 {
					t.Errorf("compared %+v in fp32", found)
				}
				return
			}
			if !slices.ContainsFunc(found, func(x Choice) bool {
				return x.M == c.rows && x.Kernel == c.kernel*time.Microsecond && (x.Chosen == chosenLibrary) == c.library
			}) {
				t.Errorf("the choices are %+v, want one of %d rows in %v", found, c.rows, c.kernel*time.Microsecond)
			}
			again := newFake(t, plenty)
			again.library = f.library
			openProducts(t, again, c.rows, c.precision)
			if len(Choices()) != len(found) {
				t.Errorf("a second session compared again: %+v", Choices()[len(found):])
			}
		})
	}
}

// TestChoiceOfShards checks that deterministic training leaves nothing to the clock.
func TestChoiceOfShards(t *testing.T) {
	forget()
	f := newFake(t, plenty)
	f.library = func(*plan.Product, plan.Precision, *places) (product, error) { return someProduct(true), nil }
	job := backendtest.Job(t, 16, 1)
	job.Shards = backend.MinShards
	own := newSession(job, f)
	own.large = 1
	s, err := own.opened(t.Context(), plan.Options{SM: 80, Precision: plan.TF32})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if found := Choices(); len(found) > 0 {
		t.Errorf("compared %+v", found)
	}
}

// forget makes the process compare again.
func forget() {
	choices.Lock()
	defer choices.Unlock()
	choices.list = nil
}

// TestChoiceKeepsMemory checks that a comparison changes nothing that a session
// has, and gives back what it took.
func TestChoiceKeepsMemory(t *testing.T) {
	forget()
	f := newFake(t, plenty)
	plain := newFake(t, plenty)
	var left [2]int64
	for i, dev := range []*fake{plain, f} {
		if dev == f {
			dev.library = func(*plan.Product, plan.Precision, *places) (product, error) { return someProduct(true), nil }
			dev.cost = func(c *command) time.Duration { return time.Microsecond }
		}
		openProducts(t, dev, 67, plan.TF32)
		left[i] = dev.free
	}
	if left[0] != left[1] {
		t.Errorf("%d bytes are free after a comparison, want %d", left[1], left[0])
	}
	if f.counts["release"] == 0 {
		t.Error("nothing was compared")
	}
}
