package worker

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gespann/gespann/backend"
	_ "github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/disttest"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/numtest"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// In these tests the coordinator is the test. They run in a bubble (synctest), so
// time passes only when everyone waits, and a goroutine that is left fails the test.

const (
	mlp = `
data: {source: digits, batch_size: 16}
model:
  - dense: {units: 7, activation: tanh}
  - dense: {units: 3}
loss: sparse_categorical_crossentropy
optimizer: {sgd: {momentum: 0.9}}
metrics: [accuracy]
`
	// normed has what depends on how a step is cut.
	normed = `
data: {source: digits, batch_size: 16}
model:
  - dense: {units: 7, activation: relu}
  - batch_normalization: {}
  - dropout: {rate: 0.3}
  - dense: {units: 3}
loss: sparse_categorical_crossentropy
optimizer: {adam: {}}
metrics: [accuracy]
`
	// met has batch normalisation, twice, so that the parts of a step meet, and nothing that
	// depends on how it is cut.
	met = `
data: {source: digits, batch_size: 16}
model:
  - dense: {units: 7}
  - batch_normalization: {momentum: 0.9}
  - activation: tanh
  - dense: {units: 5}
  - batch_normalization: {momentum: 0.8}
  - activation: relu
  - dense: {units: 3}
loss: sparse_categorical_crossentropy
optimizer: {sgd: {momentum: 0.9}}
metrics: [accuracy]
`
	trainRows, testRows, features = 107, 45, 6
)

// rows returns data whose classes depend on the features. The last step of an epoch
// has fewer rows than others.
func rows() *data.Set {
	r := rand.New(rand.NewPCG(3, 4))
	part := func(n int) data.Part {
		p := data.Part{Rows: n, X: data.Table{Shape: []int{features}}, Y: data.Table{Shape: []int{}}}
		for range n {
			class := r.IntN(3)
			for k := range features {
				v := float32(r.NormFloat64())
				if k == class {
					v += 2
				}
				p.X.F32 = append(p.X.F32, v)
			}
			p.Y.I32 = append(p.Y.I32, int32(class))
		}
		return p
	}
	set := &data.Set{Classes: 3, Source: "random rows",
		Prep: data.Prep{Shape: []int{features}, Target: data.Classes, Classes: 3}}
	set.Parts[data.Train], set.Parts[data.Test] = part(trainRows), part(testRows)
	set.Parts[data.Validation] = data.Part{X: data.Table{Shape: []int{features}}, Y: data.Table{Shape: []int{}}}
	return set
}

func build(text string) (*model.Model, error) {
	s, err := spec.Parse("test.yaml", []byte(text), spec.Options{})
	if err != nil {
		return nil, err
	}
	return model.Build(s, model.Input{Shape: []int{features}, Classes: 3})
}

// job returns what a driver would ask for.
func newJob(t testing.TB, text string, accumulate, shards int) wire.Job {
	t.Helper()
	m, err := build(text)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Job{
		ID: "job-1", Name: "test", Spec: []byte(text), Seed: 5, BatchSize: 16, Accumulate: accumulate,
		Shuffle: true, Shards: shards, Strategy: "sync", Wire: "fp32", DataFrom: "auto",
		Rows: [3]int{trainRows, 0, testRows}, Digest: rows().Digest(), Vars: Vars(m.Vars()), Rate0: 0.05,
	}
}

// openRef opens a job as a command would, on the plain backend.
func openRef(ctx context.Context, job wire.Job, set *data.Set) (backend.Session, error) {
	m, err := build(string(job.Spec))
	if err != nil {
		return nil, err
	}
	if err := CheckVars(job.Vars, m.Vars()); err != nil {
		return nil, err
	}
	b, err := backend.Lookup("ref")
	if err != nil {
		return nil, err
	}
	return b.Open(ctx, backend.Job{Spec: job.Spec, Programs: m, Data: set, Seed: job.Seed, BatchSize: job.BatchSize,
		Accumulate: job.Accumulate, Shuffle: job.Shuffle, Shards: job.Shards})
}

// initial returns the variables to begin with, as they travel.
func initial(t testing.TB, job wire.Job) []float32 {
	t.Helper()
	m, err := build(string(job.Spec))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(m.Initial(job.Seed)...)
}

// A yard has workers, whose coordinator is the test.
type yard struct {
	t     *testing.T
	net   *disttest.Network
	load  func(context.Context, *wire.Job) (*data.Set, error) // of new workers
	open  func(context.Context, wire.Job, *data.Set) (backend.Session, error)
	once  bool
	one   bool          // job only
	quit  chan struct{} // closed: workers leave
	max   int64         // bytes of data
	watch *Monitor      // of the next worker; nil: none
	all   sync.WaitGroup
}

func inYard(t *testing.T, f func(t *testing.T, y *yard)) {
	synctest.Test(t, func(t *testing.T) {
		y := &yard{t: t, net: disttest.NewNetwork(), open: openRef,
			load: func(context.Context, *wire.Job) (*data.Set, error) { return rows(), nil }}
		f(t, y)
		y.all.Wait()
	})
}

// A hand is a worker as its coordinator sees it.
type hand struct {
	*yard
	conn  *disttest.Conn // the coordinator's end of the latest connection
	conns chan *disttest.Conn
	peers *cuttable
	hello *wire.Hello
	in    chan wire.Frame // but for beats
	beats chan *wire.Beat
	done  chan struct{} // closed when the worker has ended
	err   error         // of Run
	quit  context.CancelCauseFunc
}

var errQuit = errors.New("end of the test")

// hire starts a worker.
func (y *yard) hire() *hand {
	ctx, cancel := context.WithCancelCause(context.Background())
	h := &hand{yard: y, conns: make(chan *disttest.Conn, 100), done: make(chan struct{}), quit: cancel,
		peers: &cuttable{Peers: y.net.Peers("w")}}
	o := Options{
		Dial: func(context.Context) (dist.Conn, error) {
			a, b := disttest.Pipe("worker", "coordinator")
			h.conns <- b
			return a, nil
		},
		Peers: h.peers, Name: "w", Backend: "ref", Threads: 1, Once: y.once, OneJob: y.one, Leave: y.quit, MaxData: y.max,
		Load: y.load, Open: y.open, Monitor: y.watch,
	}
	y.all.Go(func() {
		defer close(h.done)
		h.err = Run(ctx, o)
	})
	y.t.Cleanup(func() { cancel(errQuit) })
	h.meet()
	return h
}

// meet takes the worker's next connection.
func (h *hand) meet() {
	h.t.Helper()
	h.conn = <-h.conns
	h.conn.Allow(1 << 30)
	f, err := h.conn.Recv()
	if err != nil {
		h.t.Fatal(err)
	}
	h.hello = f.Message.(*wire.Hello)
	h.tell(&wire.Welcome{})
	h.in, h.beats = make(chan wire.Frame, 100), make(chan *wire.Beat, 10000)
	conn, in, beats, done := h.conn, h.in, h.beats, make(chan struct{})
	h.all.Go(func() {
		defer close(done)
		defer close(in)
		for {
			f, err := conn.Recv()
			if err != nil {
				return
			}
			if b, ok := f.Message.(*wire.Beat); ok {
				beats <- b
				continue
			}
			in <- f
		}
	})
	h.all.Go(func() {
		for {
			select {
			case <-time.After(time.Second):
				if conn.Send(wire.Frame{Message: &wire.Ping{}}) != nil {
					return
				}
			case <-done:
				return
			}
		}
	})
}

func (h *hand) tell(m wire.Message, floats ...float32) {
	h.t.Helper()
	if err := h.conn.Send(wire.Frame{Message: m, Floats: floats}); err != nil {
		h.t.Fatalf("%s: %v", m.Kind(), err)
	}
}

// answer returns the next message of a worker, which must be an M.
func answer[M wire.Message](h *hand) M {
	h.t.Helper()
	m, _ := answerFloats[M](h)
	return m
}

func answerFloats[M wire.Message](h *hand) (M, []float32) {
	h.t.Helper()
	f, ok := <-h.in
	m, is := f.Message.(M)
	if !ok || !is {
		h.t.Fatalf("got %T %+v, want %T", f.Message, f.Message, m)
	}
	return m, f.Floats
}

// take has the worker open a job and load variables.
func (h *hand) take(job wire.Job, at wire.Position, vars []float32) {
	h.t.Helper()
	h.tell(&wire.Open{Job: job})
	if m := answer[*wire.Opened](h); m.Err != "" || m.Job != job.ID {
		h.t.Fatalf("got %+v", m)
	}
	h.tell(&wire.Load{Job: job.ID, At: at}, vars...)
	if m := answer[*wire.Loaded](h); m.At.Done != at.Done {
		h.t.Fatalf("got %+v, want %+v", m, at)
	}
}

// fetch returns a worker's variables.
func (h *hand) fetch(job wire.Job) (wire.Position, []float32) {
	h.t.Helper()
	h.tell(&wire.Fetch{Job: job.ID})
	m, floats := answerFloats[*wire.State](h)
	return m.At, floats
}

// leave ends the worker, and waits for that.
func (h *hand) leave() {
	h.quit(errQuit)
	<-h.done
}

// crew hires workers that have a job open.
func (y *yard) crew(n int, job wire.Job) []*hand {
	y.t.Helper()
	var all []*hand
	for range n {
		h := y.hire()
		h.take(job, wire.Position{}, initial(y.t, job))
		all = append(all, h)
	}
	return all
}

// form makes workers a group. Faster ones have larger shares.
func form(job wire.Job, gen int, hands ...*hand) {
	var members []wire.Member
	for i, h := range hands {
		members = append(members, wire.Member{ID: h.hello.ID, Share: i + 1})
	}
	for rank, h := range hands {
		h.tell(&wire.Form{Job: job.ID, Gen: gen, Rank: rank, Members: members})
	}
}

func run(gen int, span wire.Span, hands ...*hand) {
	for _, h := range hands {
		h.tell(&wire.Run{Gen: gen, Span: span})
	}
}

// stepsOf returns the number of steps of an epoch.
func stepsOf(job wire.Job) int {
	size := job.BatchSize * job.Accumulate
	return (trainRows + size - 1) / size
}

// spanOf returns some steps of an epoch.
func spanOf(job wire.Job, epoch, first, last int) wire.Span {
	s := wire.Span{Epoch: epoch, First: first, Last: last, Done: int64(epoch*stepsOf(job) + first)}
	for i := first; i < last; i++ {
		s.Rates = append(s.Rates, 0.05/float32(1+i))
	}
	return s
}

// alone trains the epochs of a job in one session: what any number of workers must
// come to.
func alone(t *testing.T, job wire.Job, epochs int) (backend.Stats, []float32) {
	t.Helper()
	s, err := openRef(t.Context(), job, rows())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m, err := build(string(job.Spec))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(t.Context(), m.Initial(job.Seed)); err != nil {
		t.Fatal(err)
	}
	var stats backend.Stats
	for epoch := range epochs {
		span := spanOf(job, epoch, 0, stepsOf(job))
		stats, _, err = s.Train(t.Context(), backend.Span{Epoch: epoch, Last: span.Last, Step: span.Done, Rates: span.Rates})
		if err != nil {
			t.Fatal(err)
		}
	}
	vars, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stats, slices.Concat(vars...)
}

var rounding = numtest.Tol{Abs: 2e-5, Rel: 2e-5, Why: "measured: the same sums in other orders, over two epochs; margin 4"}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
		t.Errorf("%s: got other bits than wanted", what)
	}
}

// cuttable is Peers whose links can be cut.
type cuttable struct {
	dist.Peers
	mu    sync.Mutex
	links []dist.Link
}

func (c *cuttable) Dial(ctx context.Context, g dist.Generation, to wire.Member) (dist.Link, error) {
	return c.keep(c.Peers.Dial(ctx, g, to))
}

func (c *cuttable) Accept(ctx context.Context, g dist.Generation, from string) (dist.Link, error) {
	return c.keep(c.Peers.Accept(ctx, g, from))
}

func (c *cuttable) keep(l dist.Link, err error) (dist.Link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.links = append(c.links, l)
	}
	return l, err
}

// cut ends all links, as when a process is killed.
func (c *cuttable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.links {
		l.Close()
	}
}
