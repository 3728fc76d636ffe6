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
	// WorkerJoined: a worker has connected. Its ID is new among those present.
	WorkerJoined struct{ Hello wire.Hello }
	// WorkerGone: a worker's connection has ended.
	WorkerGone struct {
		ID     string
		Reason string
	}
	// FromWorker: a message has come. Its tensors, if any, are at hand until the
	// actions are done.
	FromWorker struct {
		ID  string
		Msg wire.Message
	}
	// DriverJoined: a driver has connected, and asks for a job.
	DriverJoined struct{ Attach wire.Attach }
	// DriverGone: the driver of a job has lost its connection.
	DriverGone struct{ Job string }
	// FromDriver: a message has come.
	FromDriver struct {
		Job string
		Msg wire.Message
	}
	// Cancel: someone wants a job to end.
	Cancel struct{ Job, Reason string }
	// Tick: time has passed. Comes several times a second.
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
	// Tell sends a message to a worker.
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
	// Drop ends a worker's connection. WorkerGone does not follow.
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
	// Hold keeps the tensors of the event, a worker's commit after so many steps,
	// for the end of the round.
	Hold struct {
		Job   string
		ID    string
		Steps int
	}
	// Round merges what is held, in the order of IDs, into the center.
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
	// variables of the lease's member.
	Center
	// Reply is what the strategy returns to the worker for its latest commit.
	Reply
	// Whole is all variables for a snapshot: the center where the strategy has one,
	// with the optimiser state of the base.
	Whole
)
