// Package wire defines what coordinator, workers and drivers say to each other,
// and how a message becomes bytes.
//
// A frame is a message and the tensors that go with it. Messages are small and
// travel as JSON with a kind; tensors travel as raw little-endian float32, and
// rows of data as raw bytes. No code travels.
//
//	driver       the process with the training loop; it owns the run directory
//	coordinator  knows the workers and the jobs; decides who does what
//	worker       a backend (cpu or gpu) that trains
//
// docs/cluster.md tells how a run goes.
package wire

import (
	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/data"
)

// Protocol is the version of these messages. Programs of another version are
// refused with a sentence.
const Protocol = 3

// A Message is a pointer to one of the structs of this package that say so.
type Message interface{ Kind() string }

// A Frame is a message with what belongs to it. At most one of Floats and Bytes
// is not nil.
type Frame struct {
	Message
	Floats []float32 // tensors, concatenated in an order that the message tells
	Bytes  []byte    // rows of a table, or a piece of a file
	// Done, if not nil, is called once by who received the frame, when nothing of it is
	// in use any more: then its memory is there for others.
	Done func()
}

// A Position is where a replica is in a run: after Done optimiser steps, Index of
// them in Epoch. Sums are the statistics of that epoch's steps so far. A replica
// at the end of an epoch keeps it, with Index the number of its steps, until the
// first step of the next.
type Position struct {
	Epoch int   `json:"epoch"`
	Index int   `json:"index"`
	Done  int64 `json:"done"`
	Sums  Stats `json:"sums"`
}

// A Job is what workers need to know of a run. It says what to train, as data.
type Job struct {
	ID   string `json:"id"`
	Name string `json:"name"` // of the run, for people
	Spec []byte `json:"spec"` // canonical YAML
	// Form of the training: as in backend.Job.
	Seed       uint64             `json:"seed"`
	BatchSize  int                `json:"batch_size"`
	Accumulate int                `json:"accumulate"`
	Shuffle    bool               `json:"shuffle"`
	Shards     int                `json:"shards"`
	Strategy   string             `json:"strategy"`
	Params     map[string]float64 `json:"params,omitempty"`
	Wire       string             `json:"wire"`
	DataFrom   string             `json:"data"`    // "auto", "local" or "stream"
	Workers    int                `json:"workers"` // to begin with
	Rows       [3]int             `json:"rows"`    // of the splits
	// Digest of the rows: data must be the same everywhere. With data "stream" it may
	// be any name that other rows do not have.
	Digest string `json:"digest"`
	// Vars are the shapes and roles of the variables, in the order of
	// Programs.Vars: what tensors of the job look like.
	Vars []Var `json:"vars"`
	// Rate0 is the learning rate that elastic averaging scales with.
	Rate0 float64 `json:"rate0"`
	// Epochs of the whole run, for those who watch; 0: not known.
	Epochs int `json:"epochs,omitempty"`
	// Own says that whoever trains it is the account that the coordinator runs under, for
	// whom a worker of that account may read any file. It is the coordinator that sets it,
	// whatever a driver says.
	Own bool `json:"own,omitempty"`
}

// A Var is the size and role of a variable.
type Var struct {
	Name  string `json:"name"`
	Shape []int  `json:"shape"`
	Role  string `json:"role"` // "param", "state" or "optimizer"
}

// A Span is backend.Span without sums and hooks.
type Span struct {
	Epoch int    `json:"epoch"`
	First int    `json:"first"`
	Last  int    `json:"last"`
	Done  int64  `json:"done"` // optimiser steps before First
	Rates Floats `json:"rates"`
}

// A Cost is where a worker's time went since it joined the job, in seconds, and
// the bytes of tensors that it moved.
type Cost struct {
	Compute  float64 `json:"compute"`
	Update   float64 `json:"update,omitempty"` // of Compute, for updates that every member of a group makes
	Wait     float64 `json:"wait"`
	Comm     float64 `json:"comm"`
	Rows     int64   `json:"rows"` // trained on
	Sent     int64   `json:"sent"`
	Received int64   `json:"received"`
}

// A Member is a worker in a group that trains together.
type Member struct {
	ID    string   `json:"id"`
	Peer  []string `json:"peer"` // addresses for other workers, best first: "unix:/path", "host:port"
	Host  string   `json:"host"` // identifies the machine: unix sockets work between equal ones
	Share int      `json:"share"`
}

// Messages of a worker to its coordinator.
type (
	// Hello is the first message of a worker. A worker that lost its coordinator
	// says what it holds.
	Hello struct {
		Protocol int       `json:"protocol"`
		ID       string    `json:"id"`     // WorkerID of Secret
		Secret   string    `json:"secret"` // random, of this process; for the coordinator only
		Name     string    `json:"name"`   // for people
		Version  string    `json:"version"`
		Backend  string    `json:"backend"`
		Device   string    `json:"device"` // the processor's or card's name
		Threads  int       `json:"threads"`
		Peer     []string  `json:"peer"`
		Host     string    `json:"host"`
		Job      string    `json:"job,omitempty"`
		At       *Position `json:"at,omitempty"` // nil: no variables
	}
	// Opened answers Open. At is not nil when the worker holds variables of the job
	// from before.
	Opened struct {
		Job string    `json:"job"`
		At  *Position `json:"at,omitempty"`
		Err string    `json:"err,omitempty"`
	}
	// NeedData asks for the job's rows, before Opened.
	NeedData struct {
		Job string `json:"job"`
		Why string `json:"why"` // there are none here: in words
	}
	// Loaded answers Load.
	Loaded struct {
		Job string   `json:"job"`
		At  Position `json:"at"`
	}
	// State answers Fetch; all variables go with it.
	State struct {
		Job string   `json:"job"`
		At  Position `json:"at"`
	}
	// Ran answers Run: the span is complete, or the group stopped early because it
	// was asked to. All members stop at the same step.
	Ran struct {
		Gen  int      `json:"gen"`
		At   Position `json:"at"`
		Cost Cost     `json:"cost"`
	}
	// Broken says that a group cannot go on, because of a peer. The step at hand
	// is dropped, and the worker at At.
	Broken struct {
		Gen  int      `json:"gen"`
		At   Position `json:"at"`
		Peer string   `json:"peer"` // ID of the member it was waiting for, or ""
		Err  string   `json:"err"`
	}
	// Aborted answers Abort.
	Aborted struct {
		Gen int      `json:"gen"`
		At  Position `json:"at"`
	}
	// Failed says that the worker cannot do what it was told, and why. The job
	// fails when Fatal; else only this worker leaves the job.
	Failed struct {
		Job       string     `json:"job"`
		Err       string     `json:"err"`
		Fatal     bool       `json:"fatal"`
		NotFinite *NotFinite `json:"not_finite,omitempty"`
		At        *Position  `json:"at,omitempty"` // with NotFinite: before that step
	}
	// Commit brings the result of a lease; the tensors that the strategy sends go
	// with it: parameters and states, in order.
	Commit struct {
		Job   string `json:"job"`
		Lease int    `json:"lease"`
		Steps int    `json:"steps"` // taken: all of the lease, or fewer after Stop
		Stats Stats  `json:"stats"`
		Cost  Cost   `json:"cost"`
	}
	// Evaluated answers Evaluate: what each batch gave, in order.
	Evaluated struct {
		Job   string  `json:"job"`
		Task  int     `json:"task"`
		Stats []Stats `json:"stats"`
	}
	// Beat says once a second that the worker is alive, and how it is doing.
	Beat struct {
		Done    int64   `json:"done"`
		Phase   string  `json:"phase"` // "idle", "opening", "compute", "wait"
		Seconds float64 `json:"seconds"`
		Cost    Cost    `json:"cost"`
	}
)

// Messages of a coordinator to a worker.
type (
	// Welcome answers Hello.
	Welcome struct {
		Coordinator string `json:"coordinator"` // random, of this process
	}
	// Open asks a worker to prepare a job: read the data, build the programs. A
	// worker that has it open answers at once; one with another job closes that.
	Open struct {
		Job Job `json:"job"`
	}
	// Rows carries a piece of the job's data, in order; the last has Last set.
	Rows struct {
		Job   string       `json:"job"`
		Table *data.Layout `json:"table,omitempty"` // in the first
		Last  bool         `json:"last"`
	}
	// Load sets all variables, which go with it, and the position.
	Load struct {
		Job string   `json:"job"`
		At  Position `json:"at"`
	}
	// Fetch asks for State.
	Fetch struct {
		Job string `json:"job"`
	}
	// Form makes the worker a member of a group whose steps are taken together.
	// All members are at the same position. A generation is never used twice.
	Form struct {
		Job     string   `json:"job"`
		Gen     int      `json:"gen"`
		Rank    int      `json:"rank"`
		Members []Member `json:"members"`
		// Secret is the group's: with it members prove to each other that they are.
		Secret string `json:"secret"`
	}
	// Run asks the group to go on from where it is to the end of the span.
	Run struct {
		Gen  int  `json:"gen"`
		Span Span `json:"span"`
		// Rested is how many seconds since the worker last trained nobody had asked for
		// steps, as the driver evaluated or saved: the worker did not wait then.
		Rested float64 `json:"rested,omitempty"`
	}
	// Stop asks for Ran or Commit after the current step. Gen is 0 for a lease, and
	// from a driver.
	Stop struct {
		Gen int `json:"gen"`
	}
	// Abort ends a group at once; steps that are not complete are dropped. Form and
	// Close end the group before them, too.
	Abort struct {
		Gen int `json:"gen"`
	}
	// Lease gives a worker steps to take on its own: those of Span. If Load is
	// set, the center's parameters and states go with it, and the worker begins
	// from them, with the optimiser state that it has; of an ensemble, all variables of
	// Member.
	Lease struct {
		Job    string `json:"job"`
		Lease  int    `json:"lease"`
		Span   Span   `json:"span"`
		Load   bool   `json:"load"`
		Member int    `json:"member"` // of an ensemble
		// Rested is as in Run.
		Rested float64 `json:"rested,omitempty"`
	}
	// Merged answers Commit; what the strategy returns goes with it. A Lease may
	// come in place of Merged: without Load, the worker goes on from its own
	// variables, in the same round; with it, its commit came too late.
	Merged struct {
		Job   string `json:"job"`
		Lease int    `json:"lease"`
	}
	// Evaluate asks for the statistics of batches First ≤ i < Last of a split, in
	// order, each of the job's batch size. If tensors go with it, they take the
	// place of the worker's parameters and states for this once.
	Evaluate struct {
		Job   string     `json:"job"`
		Task  int        `json:"task"`
		Split data.Split `json:"split"`
		First int        `json:"first"`
		Last  int        `json:"last"`
	}
	// Close ends a job.
	Close struct {
		Job   string `json:"job"`
		Ended bool   `json:"ended"` // for all; else it goes on later, or with others
	}
	// Ping is sent once a second, so that a worker knows that its coordinator is
	// there.
	Ping struct{}
	// Dismiss is the last message to a worker or driver, and says why.
	Dismiss struct {
		Reason string `json:"reason"`
		Retry  bool   `json:"retry"` // it may come again
	}
	// Leave says that a worker has to end. It finishes what it has begun, and waits for
	// Dismiss.
	Leave struct{}
)

// Messages between a driver and its coordinator. A driver asks one thing at a
// time, except that Stop may follow Train.
type (
	// Attach begins a job, or takes it up again after the coordinator was lost
	// (Again). Then the driver repeats the request that has no answer.
	Attach struct {
		Protocol int  `json:"protocol"`
		Job      Job  `json:"job"`
		Again    bool `json:"again"`
		// At is with Again where the run was after the latest Restored or Trained:
		// workers that hold other variables do not count. Nil: before Restore.
		At *Position `json:"at,omitempty"`
	}
	// Queued tells a driver that waits for its turn, or for workers, why.
	Queued struct {
		Reason string `json:"reason"`
		// Pass: it lacks workers, and other jobs may go first.
		Pass bool `json:"pass,omitempty"`
	}
	// Attached answers Attach: the workers are ready.
	Attached struct {
		Workers int `json:"workers"`
	}
	// Restore sets all variables, which go with it.
	Restore struct {
		At Position `json:"at"`
	}
	// Restored answers Restore.
	Restored struct{}
	// Probe asks one worker to take the steps of a span alone, after which its
	// variables are put back.
	Probe struct {
		Span Span `json:"span"`
	}
	// Probed answers Probe.
	Probed struct {
		Rows    int64   `json:"rows"`
		Seconds float64 `json:"seconds"`
	}
	// Train asks for the steps of a span, whose epoch has Sums so far and so many
	// Steps in all.
	Train struct {
		Span  Span  `json:"span"`
		Sums  Stats `json:"sums"`
		Steps int   `json:"steps"`
	}
	// Progress tells how far Train is, up to ten times a second. Its Sums are empty:
	// they are known when the span is complete.
	Progress struct {
		At Position `json:"at"`
	}
	// Trained answers Train: where the run is now.
	Trained struct {
		At        Position   `json:"at"`
		NotFinite *NotFinite `json:"not_finite,omitempty"`
	}
	// Lost answers Train, Snapshot and Test when no one holds the variables any
	// more. The driver restores what it has and repeats the spans since.
	Lost struct {
		Reason string `json:"reason"`
	}
	// Warned tells the driver what went wrong, though the job goes on.
	Warned struct {
		Text string `json:"text"`
	}
	// Fault answers anything: the job cannot go on.
	Fault struct {
		Err string `json:"err"`
	}
	// Snapshot asks for all variables.
	Snapshot struct{}
	// Variables answers Snapshot; all variables go with it.
	Variables struct {
		At Position `json:"at"`
	}
	// Test asks for the statistics of a split. Not of an ensemble: its driver does that
	// by itself.
	Test struct {
		Split data.Split `json:"split"`
	}
	// Tested answers Test.
	Tested struct {
		Stats Stats `json:"stats"`
	}
	// WantRows asks the driver for the job's data: a worker has none. The driver
	// answers with Rows.
	WantRows struct{}
	// Bill asks for the account of the job so far.
	Bill struct{}
	// Billed answers Bill.
	Billed struct {
		Account backend.Account `json:"account"`
	}
	// Detach ends the job.
	Detach struct {
		Err string `json:"err,omitempty"` // why, if not because it is complete
	}
)

// Interrupted is what Detach says when someone has interrupted the driver.
const Interrupted = "interrupted"
