// Package server runs a coordinator: it gives the state machine of dist/coord
// connections, tensors, a clock and a disk.
//
// One goroutine owns the machine, and nothing in it waits for a connection or a
// disk. Every connection has a goroutine that reads and one that writes, with a
// bounded queue between; a connection that does not keep up is dropped. Submitted
// jobs are driven from here, one after the other, by a function that the caller
// injects; package jobs keeps them on disk. Rows of drivers that are elsewhere pass
// the goroutine by, through package rows.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/coord"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock"
	"github.com/gespann/gespann/internal/memlimit"
)

// Options say how a coordinator runs. The zero value is one without a disk, which
// takes drivers and workers but no submitted jobs.
type Options struct {
	// State is the folder for jobs; "": nothing is kept on disk.
	State   string
	Version string       // of the program
	Log     *slog.Logger // nil: none
	// RunJob runs the training loop of a submitted job, and returns when that has
	// ended; nil: jobs cannot be submitted.
	RunJob func(ctx context.Context, j Submission) error
	// Check reads a submitted spec, and what there is to read for it. What it does not
	// accept is not queued. nil: everything is.
	Check func(ctx context.Context, r Request) (Plan, error)

	// Memory has all that jobs and connections take. Jobs that do not fit are refused;
	// what comes in a frame waits for room. nil: memlimit.NewBudget(0).
	Memory *memlimit.Budget
	// MaxJob bounds the bytes of all variables of a job, of which a coordinator holds
	// several copies. 0: 16 GiB, or Memory if that is less.
	MaxJob int64
	// MaxRows bounds the bytes of rows that a driver sends for workers without data.
	// Above MemoryRows, or when Memory is short, they go to a file in State. 0: 64 GiB,
	// and a quarter of Memory; without State, MaxRows is MaxJob.
	MaxRows, MemoryRows int64
	MaxPeers            int // connections at a time; 0: 5000
	// MaxUpload bounds the bytes of data that come with a job. 0: 1 GiB; negative: none.
	MaxUpload int64

	clock.Clock                  // nil: clock.System
	Ticks       <-chan time.Time // nil: four times a second
	// RetryDisk is how soon a job is tried again that found the disk full; it grows
	// up to sixteen times of that. 0: 15 s.
	RetryDisk time.Duration
	// Grace is how long a cancelled job may take to save. 0: 20 s. Leave is the same when
	// the coordinator stops, for which those who stop it give it ten seconds. 0: 5 s.
	Grace, Leave time.Duration
	// Pass is how long the first job of the queue may lack workers before others that
	// have enough go first. 0: 5 s.
	Pass time.Duration

	machine machine // nil: coord's
}

// A Request is for a job.
type Request struct {
	Name   string // "": what the spec says
	Spec   []byte
	Origin *wire.Origin // of the spec; nil: not known
	Owner  dist.Principal
	// DataDir is the absolute path of a folder with the data that came with it, where
	// the spec's paths are; "": none came.
	DataDir string
}

// A Plan is what a spec says about its job.
type Plan struct {
	Name    string // "": that of the file
	Epochs  int    // 0: not known
	Workers int    // that must be there before it begins; 0: not known
	Data    string // which files it is to read and how many rows they have, in words
	Spec    []byte // kept in place of what was submitted, wherever that depends on the folder; nil: as it is
}

// A Submission is a submitted job whose turn it is.
type Submission struct {
	ID, Name string
	// Dir is the run directory, which exists. When it has a run already, that one is
	// to be continued.
	Dir    string
	Spec   []byte
	Origin *wire.Origin // of the spec; nil: not known
	// Owner submitted it, maybe when the coordinator ran before.
	Owner dist.Principal
	// DataDir is as in Request; the folder may be at another place than it was then.
	DataDir string
	// Driver is a connection to the coordinator, to be used as that of any driver.
	// Its ID for the job takes the place of the one in Attach.
	Driver *Local
	// Tell adds a line to the job's log, unless it is "".
	Tell func(line string)
}

// A machine decides: coord's, or a script in tests.
type machine interface {
	Step(now time.Duration, e coord.Event) []coord.Action
	// Account returns that of a job that has not ended.
	Account(job string) (backend.Account, bool)
}

// A Server is a coordinator at work.
type Server struct {
	o       Options
	id      string
	started time.Time     // by the wall clock
	begun   time.Duration // then, as the Elapsed of o.Clock
	groups  []byte        // key of the secrets of groups
	book    *jobs.Book

	events chan incoming
	quit   chan struct{} // closed to end the loop
	over   chan struct{} // closed when the loop has ended
	view   atomic.Pointer[View]

	ctx    context.Context // of connections
	cancel context.CancelFunc
	calls  sync.WaitGroup // Worker, Driver and Client

	runner context.Context // of the submitted job
	stop   context.CancelFunc
	own    sync.WaitGroup // goroutines of the server itself

	mu       sync.Mutex
	closing  bool
	closed   chan struct{}
	peers    map[*peer]bool
	watchers map[chan struct{}]bool
	running  map[string]context.CancelCauseFunc // submitted jobs under way
	lacking  map[string]bool                    // those of them that let others go first

	uploading int64 // bytes that clients have announced, and that are not all on disk

	crew    atomic.Int32  // workers that are connected
	crewing chan struct{} // gets something when crew changes
}

// New starts a coordinator. When State has jobs that have not ended, they go on.
func New(o Options) (*Server, error) {
	o.complete()
	book, err := jobs.Open(o.State, o.Clock, func(err error) { o.Log.Warn("a job is left out", "err", err) })
	if err != nil {
		return nil, err
	}
	var id [8]byte
	rand.Read(id[:]) // never fails
	s := &Server{
		o: o, id: hex.EncodeToString(id[:]), groups: []byte(rand.Text()), started: o.Now(), begun: o.Elapsed(), book: book,
		events: make(chan incoming), quit: make(chan struct{}), over: make(chan struct{}),
		closed: make(chan struct{}), peers: map[*peer]bool{}, watchers: map[chan struct{}]bool{},
		running: map[string]context.CancelCauseFunc{}, lacking: map[string]bool{}, crewing: make(chan struct{}, 1),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.runner, s.stop = context.WithCancel(context.Background())
	c := newCore(s)
	c.publish()
	s.own.Go(s.keep)
	s.own.Go(s.runJobs)
	go c.loop()
	return s, nil
}

func (o *Options) complete() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Memory == nil {
		o.Memory = memlimit.NewBudget(0)
	}
	o.MaxJob = cmp.Or(o.MaxJob, min(16<<30, o.Memory.Total()))
	o.MemoryRows = cmp.Or(o.MemoryRows, o.Memory.Total()/4)
	if o.State == "" {
		o.MaxRows = o.MaxJob
	}
	o.MaxRows = cmp.Or(o.MaxRows, 64<<30)
	o.MaxUpload = cmp.Or(o.MaxUpload, 1<<30)
	o.MaxPeers = cmp.Or(o.MaxPeers, 5000)
	o.RetryDisk = cmp.Or(o.RetryDisk, 15*time.Second)
	o.Grace = cmp.Or(o.Grace, 20*time.Second)
	o.Leave = cmp.Or(o.Leave, 5*time.Second)
	o.Pass = cmp.Or(o.Pass, 5*time.Second)
}

// Close ends the coordinator: the submitted job under way saves and goes on when
// a coordinator with this State starts again; workers and drivers are told to
// come back; all connections end. It returns when nothing is left running.
func (s *Server) Close() error {
	s.mu.Lock()
	already := s.closing
	s.closing = true
	s.mu.Unlock()
	if already {
		<-s.closed
		return nil
	}
	s.stop()
	s.own.Wait() // the job saves with the help of workers
	close(s.quit)
	<-s.over
	s.mu.Lock()
	for p := range s.peers {
		p.finish(nil)
	}
	s.mu.Unlock()
	s.calls.Wait()
	s.cancel()
	s.endWatches()
	err := s.book.Flush(false)
	err = errors.Join(err, s.book.Close())
	close(s.closed)
	return err
}

// keep brings what changes to disk: soon what matters, the rest now and then.
func (s *Server) keep() {
	const often, seldom = 200 * time.Millisecond, 5 * time.Second
	tick := time.NewTicker(often)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-s.runner.Done():
			return
		}
		all := n%int(seldom/often) == 0
		if !all && !s.book.Urgent() {
			continue
		}
		was := s.book.Err()
		if err := s.book.Flush(!all); err != nil && was == nil {
			s.o.Log.Error("jobs are not on disk", "err", err)
		}
	}
}

// incoming is what the loop gets.
type incoming struct {
	from   *peer
	frame  wire.Frame
	tensor *tensor       // of the frame
	gone   error         // the connection has ended
	hello  *wire.Hello   // a worker's first
	drive  *attachment   // a driver's first
	call   func(c *core) // anything else
	done   func()        // gives back the memory of a frame without a tensor
}

// post hands something to the loop; false: the loop has ended.
func (s *Server) post(in incoming) bool {
	select {
	case s.events <- in:
		return true
	case <-s.over:
		return false
	}
}

var (
	errClosing = errors.New("the coordinator is stopping")
	errTooMany = errors.New("the coordinator has as many connections as it takes")
)

// firstTime is how long a connection may take to say what it wants.
const firstTime = 10 * time.Second

// serve runs a connection: talk reads from it until its end.
func (s *Server) serve(ctx context.Context, conn dist.Conn, who dist.Principal, talk func(p *peer) error) error {
	p, err := s.admit(conn, who)
	if err != nil {
		late := time.AfterFunc(flushTime, func() { conn.Close() })
		defer late.Stop()
		conn.Send(wire.Frame{Message: &wire.Dismiss{Reason: err.Error(), Retry: true}})
		conn.Close()
		return err
	}
	defer s.calls.Done()
	stop := context.AfterFunc(ctx, func() { p.abort("") })
	defer stop()
	err = talk(p)
	p.close()
	s.mu.Lock()
	delete(s.peers, p)
	s.mu.Unlock()
	return err
}

func (s *Server) admit(conn dist.Conn, who dist.Principal) (*peer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, errClosing
	}
	if len(s.peers) >= s.o.MaxPeers {
		return nil, errTooMany
	}
	if err := s.crowds(who); err != nil {
		return nil, err
	}
	s.calls.Add(1)
	p := newPeer(s.ctx, conn, s.o.Now())
	p.who = who
	s.peers[p] = true
	return p, nil
}

// hand hands a frame to the loop, which is done with it then but for its tensor.
func (s *Server) hand(p *peer, f wire.Frame) bool {
	in := incoming{from: p, frame: f, tensor: arrived(s.o.Memory, f)}
	if in.tensor == nil {
		in.done = f.Done
	} else if form := p.form.Load(); form != nil {
		in.tensor.look, in.tensor.looked = form.look(f.Floats) // here many look at once
	}
	ok := s.post(in)
	if !ok {
		in.finish()
	}
	return ok
}

// finish gives back what has come, but for what others keep.
func (in *incoming) finish() {
	in.tensor.release()
	if in.done != nil {
		in.done()
	}
}

// receive returns the next valid frame.
func (p *peer) receive() (wire.Frame, error) {
	f, err := p.conn.Recv()
	if err == nil {
		if err = wire.Validate(f.Message); err != nil {
			done(f)
		}
	}
	return f, err
}

// done gives back the memory of a frame.
func done(f wire.Frame) {
	if f.Done != nil {
		f.Done()
	}
}

// first returns the first frame, which must come soon.
func (p *peer) first() (wire.Frame, error) {
	late := time.AfterFunc(firstTime, func() { p.abort("it did not say what it wants") })
	defer late.Stop()
	return p.receive()
}

// refuse ends a connection with a last message, and waits until it is sent.
func (p *peer) refuse(m wire.Message, err error) error {
	p.finish(m)
	<-p.ended
	return err
}
