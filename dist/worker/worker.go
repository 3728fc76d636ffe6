// Package worker trains what a coordinator tells it, on a local backend.
//
//	worker.go    connects, again and again
//	serve.go     one connection: a goroutine that reads, one that says "I am alive",
//	             one that works
//	orders.go    how Abort, Stop and Close reach the one that works
//	open.go      a job is opened: data, programs, backend
//	job.go       the open job: its variables, and where in the run they are
//	group.go     steps taken together: step.go one of them, table.go what it
//	             measured, sums.go two ways to add gradients
//	lease.go     steps taken alone
//	evaluate.go  batches of a split
//	account.go   where the time goes
//	monitor.go   all that for those who look at it
//	watchdog.go  notices that the coordinator is silent
package worker

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mrand "math/rand/v2"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/collective"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data"
)

// Options are what a worker is, and how it reaches others.
type Options struct {
	// Dial connects to the coordinator.
	Dial func(ctx context.Context) (dist.Conn, error)
	// Peers connects to other workers.
	Peers dist.Peers

	// What the coordinator and its page say of the worker: see wire.Hello.
	Name, Version, Backend, Device, Host string
	Threads                              int

	// Load reads the data of a job from where this worker has it. Nil: it has none.
	Load func(ctx context.Context, job *wire.Job) (*data.Set, error)
	// Open builds the programs of a job and opens the local backend, whose session
	// is a backend.Replica. CheckVars says whether the programs are the job's.
	Open func(ctx context.Context, job wire.Job, set *data.Set) (backend.Session, error)
	// Loops are those of sums with other workers, where there are quick ones.
	Loops collective.Loops
	// MaxData is how many bytes of rows it takes from a coordinator; 0: DefaultMaxData.
	MaxData int64

	Log     *slog.Logger // nil: silent
	Monitor *Monitor     // lets others look at the worker; nil: nobody does
	// Once ends Run when the first connection ends, or cannot be made.
	Once bool
	// OneJob ends Run, without an error, when the first job that the worker was told to open
	// has ended.
	OneJob bool
	// Leave, once it is closed, has the worker finish what it has begun, tell the
	// coordinator, and end Run without an error: at the latest after LeaveTime. Nil:
	// never.
	Leave     <-chan struct{}
	LeaveTime time.Duration // 0: DefaultLeaveTime
}

// DefaultLeaveTime is within what Slurm (KillWait) and Kubernetes
// (terminationGracePeriodSeconds) wait between SIGTERM and SIGKILL, 30 s each.
const DefaultLeaveTime = 20 * time.Second

var (
	errLeft = errors.New("asked to leave")
	errDone = errors.New("its job has ended")
)

// DefaultMaxData is 64 GiB.
const DefaultMaxData = 64 << 30

// A DismissedError says that the coordinator does not want this worker.
type DismissedError struct {
	Reason string
	Retry  bool // it may come again
}

// Error gives the coordinator's reason.
func (e *DismissedError) Error() string { return "dismissed by the coordinator: " + e.Reason }

// Run serves one coordinator connection after the other. When one ends it makes
// another, for ever, and keeps its open job for it. It returns the cause of ctx's
// end; a *DismissedError of a coordinator to which the worker need not come again; or
// dist.ErrRefused, from Dial: whoever started the worker has to change something, if only
// its version. It returns nil after Leave or OneJob.
func Run(ctx context.Context, o Options) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.LeaveTime = cmp.Or(o.LeaveTime, DefaultLeaveTime)
	if o.Monitor == nil {
		o.Monitor = new(Monitor)
	}
	secret := rand.Text()
	w := &worker{Options: o, id: wire.WorkerID(secret), secret: secret}
	o.Monitor.begin(w)
	defer w.drop()
	for delay := firstDelay; ; {
		o.Monitor.moves()
		welcome, err := w.serve(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case w.leaving() || errors.Is(err, errDone):
			o.Log.Info("leaving", "because", err)
			return nil
		}
		var dismissed *DismissedError
		if o.Once || errors.Is(err, dist.ErrRefused) || errors.As(err, &dismissed) && !dismissed.Retry {
			return err
		}
		if welcome {
			delay = firstDelay
		}
		d := jitter(delay)
		o.Log.Info("connecting again", "in", d.Round(time.Millisecond), "because", err)
		if !w.sleep(ctx, d) {
			if ctx.Err() == nil {
				return nil
			}
			return context.Cause(ctx)
		}
		delay = min(2*delay, maxDelay)
	}
}

// A worker that comes again waits between half and all of a delay, so that not
// all workers of a restarted coordinator come at once.
const (
	firstDelay = 400 * time.Millisecond
	maxDelay   = 5 * time.Second
)

func jitter(d time.Duration) time.Duration { return d/2 + mrand.N(d/2) }

// leaving reports whether the worker was told to leave.
func (w *worker) leaving() bool {
	select {
	case <-w.Leave:
		return true
	default:
		return false
	}
}

// sleep reports whether nothing has ended the worker meanwhile.
func (w *worker) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-w.Leave:
		return false
	}
}

// A worker is what stays over all connections. Except for the account it belongs
// to the goroutine that works.
type worker struct {
	Options
	id      string
	secret  string    // whose ID that is
	held    *job      // nil: no job is open
	data    *data.Set // of the latest job, kept: the next one may have the same
	digest  string    // of data
	account account
}

// drop closes the open job, if there is one.
func (w *worker) drop() {
	if w.held == nil {
		return
	}
	if err := w.held.close(); err != nil {
		w.Log.Warn("closing the job", "job", w.held.ID, "error", err)
	}
	w.held = nil
	w.Monitor.opened("")
}
