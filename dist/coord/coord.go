// Package coord decides what a coordinator does: who is a member, which job has
// its turn, who trains which steps, what happens when someone is lost.
//
// A Machine is a pure state machine. It has no clock, socket, goroutine or
// tensor: time, messages and losses come in as events, and what is to be done
// goes out as actions, in order. So every situation can be written down as a
// transcript, and testdata has them.
package coord

import (
	"time"

	"github.com/gespann/gespann/dist/wire"
)

// An Event is something that happened: one of the types below.
type Event interface{ event() }

type (
	// WorkerJoined says: a worker has connected. It is told Welcome, or dropped. When one
	// with that ID is present, this connection takes the place of that one, which
	// the caller ends.
	WorkerJoined struct{ Hello wire.Hello }
	// WorkerGone says: a worker's connection has ended. Not for one that was dropped, or
	// whose place was taken.
	WorkerGone struct {
		ID     string
		Reason string
	}
	// FromWorker says: a message has come, which wire.Validate accepts. Its tensors, if
	// any, are at hand until the actions are done, and have the right length.
	FromWorker struct {
		ID  string
		Msg wire.Message
		// Odd is why tensors of a Commit or State are hard to believe; "": they are not.
		Odd string
		// Size is how large the tensors of a Commit are, to compare those of the same steps.
		Size float64
		// Wild says that the results of the others, or this one where it is usual among
		// them, are far beyond what the run began with: it diverges, and nobody is blamed.
		Wild bool
	}
	// DriverJoined says: a driver has connected, and asks for a job. If the job is known
	// and Attach.Again is set, this connection takes the place of an earlier one,
	// which the caller ends; if it is not wanted, the actions have Refuse.
	DriverJoined struct{ Attach wire.Attach }
	// DriverGone says: the driver of a job has lost its connection.
	DriverGone struct{ Job string }
	// FromDriver says: a message has come, which wire.Validate accepts. Rows are the
	// caller's business, and ignored here.
	FromDriver struct {
		Job string
		Msg wire.Message
	}
	// Cancel says: someone wants a job to end.
	Cancel struct{ Job, Reason string }
	// Tick says: time has passed. Comes several times a second.
	Tick struct{}
)

func (WorkerJoined) event() {}
func (WorkerGone) event()   {}
func (FromWorker) event()   {}
func (DriverJoined) event() {}
func (DriverGone) event()   {}
func (FromDriver) event()   {}
func (Cancel) event()       {}
func (Tick) event()         {}

// An Action is something to do: one of the types below. Actions are done in
// order, before the next event.
type Action interface{ action() }

type (
	// Tell sends a message to a worker. Messages may share memory with each other:
	// they are not changed.
	Tell struct {
		ID  string
		Msg wire.Message
		With
	}
	// Answer sends a message to the driver of a job.
	Answer struct {
		Job string
		Msg wire.Message
		With
	}
	// Refuse ends the connection of the driver that has just joined, with Dismiss;
	// the job, if there is one of that ID, goes on.
	Refuse struct{ Job, Reason string }
	// Drop ends a worker's connection, with Dismiss. WorkerGone does not follow.
	Drop struct {
		ID, Reason string
		Retry      bool
	}
	// Keep makes the tensors of the event, which are all variables of the job, its
	// base: the last state that the coordinator itself holds. With Center, they
	// also become the center variable, of all members of an ensemble.
	Keep struct {
		Job    string
		At     wire.Position
		Center bool
	}
	// Merge lets the strategy add the tensors of the event, a worker's commit, to
	// the center. Staleness is the number of commits since the worker last got the
	// center.
	Merge struct {
		Job       string
		ID        string
		Staleness int
		Member    int // of an ensemble
	}
	// Hold keeps the tensors of the event, a worker's commit, for the end of the
	// round, in place of what it has committed in this round before. Steps are
	// those that it has taken in the round in all.
	Hold struct {
		Job   string
		ID    string
		Steps int
	}
	// Round merges what is held of these workers, some of which may be gone, in the
	// order of IDs, into the center. Nothing is held then.
	Round struct {
		Job string
		IDs []string
	}
	// SendRows sends the job's data to a worker.
	SendRows struct{ ID, Job string }
	// Free forgets a job's tensors and data. Its driver's connection ends.
	Free struct{ Job string }
	// Note is for the log and the history.
	Note struct {
		Time time.Duration
		Job  string // or ""
		ID   string // worker, or ""
		Text string
	}
)

func (Tell) action()     {}
func (Answer) action()   {}
func (Refuse) action()   {}
func (Drop) action()     {}
func (Keep) action()     {}
func (Merge) action()    {}
func (Hold) action()     {}
func (Round) action()    {}
func (SendRows) action() {}
func (Free) action()     {}
func (Note) action()     {}

// With says which tensors go with a message.
type With uint8

const (
	// Nothing goes with it.
	Nothing With = iota
	// Base is all variables, as last kept.
	Base
	// Center is the center variable: parameters and states; of an ensemble, all
	// variables of the member that Lease names. After Round it goes with Merged.
	Center
	// Reply is what the strategy returns to the worker for the commit of the Merge
	// before it.
	Reply
	// Whole is all variables for a snapshot: the center where the strategy has one,
	// with the optimiser state of the base.
	Whole
)
