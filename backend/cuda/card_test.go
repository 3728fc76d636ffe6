//go:build gpu

package cuda

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/kernels"
)

// The tests named TestCard need a card. `make gpu-check` runs them, by sections.
var (
	bySections = flag.Bool("sections", false, "run all sections, each in a process of its own")
	budget     = flag.Duration("budget", usual, "time for all sections")
	reportFile = flag.String("report", "", "`file` to write the results to, as JSON")
	programAt  = flag.String("program", "", "`path` of gespann-cuda, for tests of whole processes")
	dataAt     = flag.String("data", filepath.Join("..", "shared", "data", "mnist"), "`folder` with the files of MNIST")
	small      = flag.Bool("small", false, "tiny sizes for the benchmarks, to try them on no card")
	only       = flag.String("precisions", "tf32,bf16,fp32", "what to time, in this order")
	python     = flag.String("python", "python3", "interpreter with PyTorch; \"\" leaves the comparison out")
)

// usual is the budget of the check: less than 8 minutes.
const usual = 465 * time.Second

// sections of the check: what is short and must hold first, PyTorch, which takes
// what time is left, last.
var sections = []section{
	{"load", "TestCardLoad", 90 * time.Second},
	{"ops", "TestCardOps|TestCardPrecision|TestCardLibrary", 60 * time.Second},
	{"session", "TestCardSession", 60 * time.Second},
	{"steps", "TestCardSteps", 45 * time.Second},
	{"goal", "TestCardGoal", 60 * time.Second},
	{"products", "TestCardProducts", 40 * time.Second},
	{"memory", "TestCardMemory", 45 * time.Second},
	{"runs", "TestCardRuns", 60 * time.Second},
	{"process", "TestCardProcess", 45 * time.Second},
	{"fault", "TestCardFault", 30 * time.Second},
	{"torch", "TestCardTorch", 270 * time.Second},
}

// results is filled by the tests, which do not run in parallel.
var results = report{Checks: map[string]string{}}

func TestMain(m *testing.M) {
	flag.Parse()
	results.Date = time.Now().UTC().Format(time.DateOnly)
	if *bySections {
		os.Exit(checkAll())
	}
	code := m.Run()
	if err := saved(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if *reportFile == "" {
		fmt.Print(results.table())
	}
	os.Exit(code)
}

// saved writes the report, if one is wanted.
func saved() error {
	if *reportFile == "" {
		return nil
	}
	return results.write(*reportFile)
}

// checkAll runs all sections, and returns 1 if any is not ok.
func checkAll() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	list := slices.Clone(sections)
	for i := range list { // who gives more time has a slow machine, or none
		list[i].limit = max(list[i].limit, time.Duration(float64(list[i].limit)*budget.Seconds()/usual.Seconds()))
	}
	err := runSections(ctx, list, *budget, &results, func(s section, file string) *exec.Cmd {
		fmt.Printf("%s ...\n", s.name)
		return exec.Command(os.Args[0], "-test.run", "^("+s.tests+")$", "-report", file, "-program", *programAt,
			"-data", *dataAt, "-small="+strconv.FormatBool(*small), "-precisions", *only, "-python", *python,
			"-budget", s.limit.String(), "-test.short="+strconv.FormatBool(testing.Short()))
	}, func() error {
		if !*small {
			results.judge()
		}
		return saved()
	})
	fmt.Print(results.table())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, s := range results.Sections {
		if s.State != "ok" {
			return 1
		}
	}
	return 0
}

// measured notes a measurement, and saves the report.
func measured(t *testing.T, name, unit string, value float64, note string) {
	t.Helper()
	results.Benchmarks = append(results.Benchmarks, measurement{name, unit, value, note})
	if err := saved(); err != nil {
		t.Fatal(err)
	}
}

// checked notes how a test ends, and returns the card.
func checked(t *testing.T) *Card {
	t.Helper()
	t.Cleanup(func() {
		switch {
		case t.Failed():
			results.Checks[t.Name()] = "failed"
		case t.Skipped():
			results.Checks[t.Name()] = "skipped"
		default:
			results.Checks[t.Name()] = "ok"
		}
		if err := saved(); err != nil {
			t.Error(err)
		}
	})
	survey, err := Ask(0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := survey.Card(0)
	if err != nil {
		t.Fatal(err)
	}
	results.Card, results.Driver = c, survey.Driver()
	return c
}

func optionsFor(c *Card, p plan.Precision) plan.Options {
	return plan.Options{SM: 10*c.Major + c.Minor, Multiprocessors: c.Multiprocessors, Precision: p}
}

// lent is a card that tests use in turn: Close gives back only what was
// allocated since.
type lent struct {
	*card
	taken []address
}

func (l *lent) Alloc(bytes int64) (address, error) {
	a, err := l.card.Alloc(bytes)
	if err == nil {
		l.taken = append(l.taken, a)
	}
	return a, err
}

func (l *lent) Release(a address) error {
	l.taken = slices.DeleteFunc(l.taken, func(b address) bool { return a == b })
	return l.card.Release(a)
}

func (l *lent) Close() error {
	return l.Do(func() error {
		for _, a := range l.taken {
			if err := l.card.Release(a); err != nil {
				return err
			}
		}
		l.taken = nil
		return nil
	})
}

func openCard(t *testing.T, c *Card) *card {
	t.Helper()
	dev, err := newCard(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
	return dev
}

// TestCardLoad loads every kernel, which lets the driver compile them: from then
// on it has them in its cache.
func TestCardLoad(t *testing.T) {
	c := checked(t)
	dev := openCard(t, c)
	all, err := kernels.Modules()
	if err != nil {
		t.Fatal(err)
	}
	begin, count := time.Now(), 0
	for _, m := range all {
		if m.SM > 10*c.Major+c.Minor {
			continue
		}
		for _, kernel := range m.Kernels {
			if err := dev.Do(func() error { return dev.Prepare(kernel, 0) }); err != nil {
				t.Errorf("%s: %v", kernel, err)
			}
			count++
		}
	}
	measured(t, "loading all kernels", "s", time.Since(begin).Seconds(), fmt.Sprintf("%d kernels, wall clock", count))
}

// TestCardOps runs the suite of all ops against ref.
func TestCardOps(t *testing.T) {
	c := checked(t)
	dev := openCard(t, c)
	backendtest.Ops(t, func(t *testing.T) host.Executor {
		return &executor{t: t, dev: &lent{card: dev}, o: optionsFor(c, plan.FP32)}
	})
}

// streaming opens sessions that stream their rows.
type streaming struct{}

func (streaming) Open(ctx context.Context, job backend.Job) (backend.Session, error) {
	survey, err := Ask(0)
	if err != nil {
		return nil, err
	}
	dev, err := newCard(&survey.Cards[0])
	if err != nil {
		return nil, err
	}
	own := newSession(job, dev)
	own.streamed = true
	return own.opened(ctx, optionsFor(&survey.Cards[0], plan.FP32))
}

// TestCardSession runs the suite of all backends.
func TestCardSession(t *testing.T) {
	checked(t)
	t.Run("resident", func(t *testing.T) { backendtest.Session(t, gpu{}) })
	t.Run("streamed", func(t *testing.T) { backendtest.Session(t, streaming{}) })
	t.Run("replica", func(t *testing.T) { backendtest.ReplicaOf(t, gpu{}) })
	t.Run("shards", func(t *testing.T) { backendtest.Shards(t, gpu{}, backendtest.Allocates, backendtest.NoThreads) })
}

// TestCardRuns compares whole runs with the CPU, and interrupted ones with whole
// ones.
func TestCardRuns(t *testing.T) {
	checked(t)
	t.Run("curves", func(t *testing.T) { testCurves(t, "gpu") })
	t.Run("resume", func(t *testing.T) { testResume(t, "gpu") })
}

// TestCardPrecision checks the bounds that package plan states for products.
func TestCardPrecision(t *testing.T) {
	c := checked(t)
	dev := openCard(t, c)
	for _, p := range []struct {
		precision plan.Precision
		round     float64 // of factors
	}{{plan.FP32, 0}, {plan.TF32, 0x1p-10}, {plan.BF16, 0x1p-7}} {
		if p.precision != plan.FP32 && c.Major < tensorMajor {
			t.Logf("the card has no precision %v", p.precision)
			continue
		}
		for _, size := range [][3]int{{128, 512, 784}, {1, 10, 37}, {129, 65, 4097}, {1024, 1024, 1024}} {
			e := &executor{t: t, dev: &lent{card: dev}, o: optionsFor(c, p.precision)}
			testProduct(t, e, size, p.round)
			e.Close()
		}
	}
}

// hasLibrary opens cuBLASLt, and reports whether there is one.
func hasLibrary(t *testing.T, dev *card) bool {
	t.Helper()
	err := dev.Do(func() error { _, err := dev.Library(new(plan.Product), plan.FP32, new(places)); return err })
	if err != nil {
		t.Fatal(err)
	}
	return dev.lt.lt != nil
}

// TestCardLibrary compares products of cuBLASLt, in all layouts and with each kind of
// epilogue, with our kernels' bounds.
func TestCardLibrary(t *testing.T) {
	c := checked(t)
	dev := openCard(t, c)
	if !hasLibrary(t, dev) {
		t.Skip("no cuBLASLt here: ", dev.lt.why)
	}
	for _, p := range []struct {
		precision plan.Precision
		round     float64
	}{{plan.TF32, 0x1p-10}, {plan.BF16, 0x1p-7}} {
		if c.Major < tensorMajor {
			continue
		}
		for trans := range 4 {
			for _, a := range []ir.Attrs{{}, {Bias: true}, {Bias: true, Act: ir.ReLU}} {
				a.TransA, a.TransB = trans&1 != 0, trans&2 != 0
				e := &executor{t: t, dev: &lent{card: dev}, o: optionsFor(c, p.precision), large: 1}
				testLibrary(t, e, a, p.round)
				e.Close()
			}
		}
	}
}

// testLibrary compares a product that is the library's with float64.
func testLibrary(t *testing.T, e *executor, a ir.Attrs, round float64) {
	t.Helper()
	const m, n, k = 24, 40, 56
	b := backendtest.NewBuilder(t, "product", m, nil)
	left, right := []int{m, k}, []int{k, n}
	if a.TransA {
		left = []int{k, m}
	}
	if a.TransB {
		right = []int{n, k}
	}
	in := []ir.Slot{b.Input("a", ir.Float, left...), b.Input("b", ir.Float, right...)}
	if a.Bias {
		in = append(in, b.Input("bias", ir.Float, n))
	}
	b.Name(b.Do(ir.MatMul, a, in...)[0], "y")
	p := b.Done()
	planned, err := plan.Build(p, e.o)
	if err != nil {
		t.Fatal(err)
	}
	forget()
	defer forget()
	want := choiceOf(planned.Launches[0].Product, e.o.Precision)
	want.Chosen = chosenLibrary
	remember(want)
	s, values := ref.NewSlots[float64](p), host.Slots{F: make([][]float32, len(p.Values)), I: make([][]int32, len(p.Values))}
	for i := range p.Values {
		values.F[i] = random(p.Values[i].Size())
		for q, v := range values.F[i] {
			s.F[i][q] = float64(v)
		}
	}
	r, err := e.Compile(p, values)
	if err != nil {
		t.Fatal(err)
	}
	if by := r.(*deviceRunner).commands[0].by; by == nil {
		t.Fatalf("%+v: the library cannot", a)
	}
	r.Run()
	ref.Run(p, s)
	out := len(p.Values) - 1
	numtest.Close(t, values.F[out], s.F[out], numtest.Tol{
		Abs: 4 * math.Sqrt(k) * round, Rel: round, Why: "k products of normal numbers whose factors are rounded; 4 sigma and more",
	})
}

// testProduct compares a product [m,k]·[k,n] with float64: relative to Σ|a·b| it
// may be off by the rounding of the factors and k roundings of the sum.
func testProduct(t *testing.T, e *executor, size [3]int, round float64) {
	m, n, k := size[0], size[1], size[2]
	b := backendtest.NewBuilder(t, "product", m, nil)
	x, y := b.Input("a", ir.Float, m, k), b.Input("b", ir.Float, k, n)
	out := b.Do(ir.MatMul, ir.Attrs{}, x, y)[0]
	b.Name(out, "y")
	s := host.Slots{F: [][]float32{random(m * k), random(k * n), make([]float32, m*n)}, I: make([][]int32, 3)}
	r, err := e.Compile(b.Done(), s)
	if err != nil {
		t.Fatal(err)
	}
	r.Run()
	bound, worst := round+float64(k+2)*0x1p-23, 0.0
	for i := range m {
		for j := range n {
			sum, scale := 0.0, 0.0
			for q := range k {
				v := float64(s.F[0][i*k+q]) * float64(s.F[1][q*n+j])
				sum += v
				scale += math.Abs(v)
			}
			worst = max(worst, math.Abs(float64(s.F[2][i*n+j])-sum)/scale)
		}
	}
	if !(worst <= bound) {
		t.Errorf("%v, %v: off by %.3g Σ|a·b|, want at most %.3g", e.o.Precision, size, worst, bound)
	}
}

func random(n int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}
