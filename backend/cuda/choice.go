package cuda

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/gespann/gespann/backend/cuda/plan"
)

// Large products in tf32 and bf16 are computed by cuBLASLt or by our kernels,
// whichever is faster: both are timed when a process first meets a shape, and what
// was found holds for the process. Products in fp32 always take our kernels, whose
// sums have one order, so that the bits of a run depend on the card alone; a choice
// by the clock may fall differently in another process.

// A Choice is by what means products of a shape are computed, and why.
type Choice struct {
	M         int            `json:"m"`
	N         int            `json:"n"`
	K         int            `json:"k"`
	TransA    bool           `json:"trans_a,omitempty"`
	TransB    bool           `json:"trans_b,omitempty"`
	Bias      bool           `json:"bias,omitempty"`     // added by the epilogue
	Epilogue  bool           `json:"epilogue,omitempty"` // more than a bias follows
	Precision plan.Precision `json:"-"`
	Units     string         `json:"precision"`
	// Kernel and Library are the times of our kernel and of cuBLASLt, with the
	// epilogue.
	Kernel  time.Duration `json:"kernel_ns"`
	Library time.Duration `json:"library_ns"`
	Chosen  string        `json:"chosen"` // "kernel" or "cublaslt"
}

const (
	chosenKernel  = "kernel"
	chosenLibrary = "cublaslt"
	// largeFlop is the size from which on a product is worth a comparison.
	largeFlop = 1 << 27
	// gain is how much faster the library must be: less is within what two
	// measurements differ by.
	gain = 1.05
	// repeats is the number of products that are timed at once.
	repeats = 10
)

// A product is a matrix product that a library has prepared, with what it adds to
// it: all of the epilogue, or none.
type product interface {
	// Whole reports whether the library applies the whole epilogue.
	Whole() bool
}

// choices are those of the process.
var choices struct {
	sync.Mutex
	list []Choice
}

// Choices returns by what means this process computes large products, in the order
// in which it met them.
func Choices() []Choice {
	choices.Lock()
	defer choices.Unlock()
	return slices.Clone(choices.list)
}

// same reports whether two choices are of the same work.
func (c *Choice) same(o *Choice) bool {
	return c.M == o.M && c.N == o.N && c.K == o.K && c.TransA == o.TransA && c.TransB == o.TransB &&
		c.Bias == o.Bias && c.Epilogue == o.Epilogue && c.Precision == o.Precision
}

func chosen(c *Choice) (string, bool) {
	choices.Lock()
	defer choices.Unlock()
	for i := range choices.list {
		if choices.list[i].same(c) {
			return choices.list[i].Chosen, true
		}
	}
	return "", false
}

func remember(c Choice) {
	choices.Lock()
	defer choices.Unlock()
	choices.list = append(choices.list, c)
	slog.Debug("cuda: product", "m", c.M, "n", c.N, "k", c.K, "trans_a", c.TransA, "trans_b", c.TransB, "precision", c.Units,
		"kernel", c.Kernel, "library", c.Library, "chosen", c.Chosen)
}

// choose returns the commands for a launch: the launch itself, or a product of the
// library with the epilogue that it leaves.
func (s *session) choose(p *plan.Plan, l plan.Launch, at *places) ([]command, error) {
	kernel := []command{{Launch: l, plan: p, at: at, args: at.pack(l.Args)}}
	x := l.Product
	if !contested(x, p.Options.Precision, s.large) {
		return kernel, nil
	}
	c := choiceOf(x, p.Options.Precision)
	name, known := chosen(&c)
	if known && name == chosenKernel {
		return kernel, nil
	}
	library, err := s.byLibrary(p, l, at)
	if library == nil || err != nil {
		return kernel, err
	}
	if !known {
		if c, err = s.compare(c, p, l, at); err != nil {
			return kernel, err
		}
		remember(c)
		name = c.Chosen
	}
	if name == chosenKernel {
		return kernel, nil
	}
	return library, nil
}

// contested reports whether a product, if it is one, is worth a comparison, from so
// many operations on.
func contested(x *plan.Product, p plan.Precision, large int64) bool {
	return x != nil && p != plan.FP32 && 2*int64(x.M)*int64(x.N)*int64(x.K) >= large
}

// choiceOf describes the work of a product.
func choiceOf(x *plan.Product, p plan.Precision) Choice {
	return Choice{M: x.M, N: x.N, K: x.K, TransA: x.TransA, TransB: x.TransB, Bias: x.Bias.Buffer != plan.Null,
		Epilogue: x.Epilogue != nil && !x.OnlyBias, Precision: p, Units: p.String()}
}

// byLibrary returns the commands for a product of the library, nil where it cannot.
func (s *session) byLibrary(p *plan.Plan, l plan.Launch, at *places) ([]command, error) {
	by, err := s.dev.Library(l.Product, p.Options.Precision, at)
	if by == nil || err != nil {
		return nil, err
	}
	list := []command{{Launch: l, plan: p, at: at, args: at.pack(l.Args), by: by}}
	if e := l.Product.Epilogue; e != nil && !by.Whole() {
		if err := s.prepare(p, e); err != nil {
			return nil, err
		}
		list = append(list, command{Launch: *e, plan: p, at: at, args: at.pack(e.Args)})
	}
	return list, nil
}

// compare times a product by both means, on random numbers in memory of its own.
// Without memory to spare, our kernel is chosen.
func (s *session) compare(c Choice, p *plan.Plan, l plan.Launch, at *places) (Choice, error) {
	c.Chosen = chosenKernel
	moved, places, release, err := s.elsewhere(l, at)
	defer release()
	if err != nil || places == nil {
		return c, err
	}
	library, err := s.byLibrary(p, moved, places)
	if err != nil || library == nil {
		return c, err
	}
	if err := s.prepare(p, &l); err != nil {
		return c, err
	}
	kernel := []command{{Launch: moved, plan: p, at: places, args: places.pack(moved.Args)}}
	if c.Kernel, err = s.timed(kernel); err != nil {
		return c, err
	}
	// A library that fails here is one that cannot, whatever it said before.
	if c.Library, err = s.timed(library); err != nil {
		return c, s.dev.Sync()
	}
	if float64(c.Library)*gain < float64(c.Kernel) {
		c.Chosen = chosenLibrary
	}
	return c, nil
}

// elsewhere moves factors and result of a product to memory of their own, with
// random factors. Without memory the places are nil.
func (s *session) elsewhere(l plan.Launch, at *places) (moved plan.Launch, to *places, release func(), err error) {
	var taken []address
	release = func() {
		for _, a := range taken {
			s.dev.Release(a)
		}
	}
	x := *l.Product
	copied := *at
	// These buffers are no product's: they stand for the moved ones.
	for _, m := range []struct {
		ref    *plan.Ref
		buffer plan.Buffer
		size   int
		random bool
	}{
		{&x.A, plan.DataX, x.M * x.K, true}, {&x.B, plan.DataY, x.K * x.N, true}, {&x.Y, plan.ScaleX, x.M * x.N, false},
	} {
		bytes := int64(m.size)*4 + 16
		free, err := s.dev.Free()
		if err != nil || free < bytes+reserveBytes/2 {
			return l, nil, release, err
		}
		a, err := s.dev.Alloc(bytes)
		if err != nil {
			return l, nil, release, nil
		}
		taken = append(taken, a)
		if m.random {
			if err := s.scatter(a, m.size); err != nil {
				return l, nil, release, err
			}
		}
		l = l.Replace(*m.ref, plan.Ref{Buffer: m.buffer})
		copied.base[m.buffer] = a
	}
	return l, &copied, release, s.dev.Sync()
}

// scatter fills device memory with numbers from -1 to 1 that repeat after a while.
func (s *session) scatter(at address, n int) error {
	noise := make([]float32, min(n, 1<<20))
	state := uint32(1)
	for i := range noise {
		state = state*1664525 + 1013904223
		noise[i] = float32(int32(state)) / (1 << 31)
	}
	for n > 0 {
		part := noise[:min(n, len(noise))]
		if err := s.dev.Upload(at, bytesOf(part)); err != nil {
			return err
		}
		at += address(4 * len(part))
		n -= len(part)
	}
	return s.dev.Sync()
}

// timed returns the median time of a list of commands, replayed as a step does.
func (s *session) timed(list []command) (time.Duration, error) {
	g, err := s.dev.Capture(func() error {
		for range repeats {
			if err := s.launch(list, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	defer g.Destroy()
	var took []time.Duration
	for i := range 7 {
		one, err := s.dev.Time(func() error { return s.dev.Replay(g) })
		if err != nil {
			return 0, err
		}
		if i >= 2 {
			took = append(took, one/repeats)
		}
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}
