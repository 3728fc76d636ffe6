package wire

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Bounds of what a client may ask.
const (
	MaxSpec  = 512 << 10 // bytes of a submitted spec: as base64 in a message of 1 MiB
	MaxQueue = 1000      // jobs that wait
	MaxPiece = 1 << 19   // bytes of a file or log in one frame

	MaxUploads   = 64            // files of data that come with a job
	UploadWindow = 16 * MaxPiece // bytes of a file that a client sends before it hears again
)

// States of a job.
const (
	JobQueued    = "queued"    // submitted, waits for its turn
	JobStarting  = "starting"  // its driver reads data and builds programs
	JobWaiting   = "waiting"   // for workers, for its turn among attached jobs, or for its driver
	JobRunning   = "running"   // trains
	JobPaused    = "paused"    // the disk is full, or too many files are open; goes on when that is over
	JobDone      = "done"      // complete
	JobFailed    = "failed"    // Err says why
	JobCancelled = "cancelled" // someone wanted that
	JobLost      = "lost"      // its driver went away and has not come back
)

// A JobStatus is what a coordinator tells about a job.
type JobStatus struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	State     string `json:"state"`
	Reason    string `json:"reason,omitempty"` // what it waits for, or why it failed
	Owner     string `json:"owner,omitempty"`  // who submitted or trains it; "": nobody asked
	Submitted bool   `json:"submitted"`        // its driver is in the coordinator, and its files can be fetched
	// Position in the queue, from 1; 0: it does not wait in the queue.
	Position int    `json:"position,omitempty"`
	Strategy string `json:"strategy,omitempty"`
	Workers  int    `json:"workers"`         // that take part now, or did at the end
	Wants    int    `json:"wants,omitempty"` // workers that must be there before it begins
	// Data is which files the coordinator has read for it and how many rows they have, in words.
	Data string `json:"data,omitempty"`
	// Epoch counts from 1; Epochs is 0 when it is not known.
	Epoch  int   `json:"epoch"`
	Epochs int   `json:"epochs"`
	Step   int   `json:"step"` // of the epoch
	Steps  int   `json:"steps"`
	Done   int64 `json:"done"` // optimiser steps
	// Progress is the share of the work that is done, 0 to 1.
	Progress      float64 `json:"progress"`
	RowsPerSecond float64 `json:"rows_per_second"`
	// Left is a guess of the seconds until the end, as the run itself makes it; 0:
	// not known.
	Left float64 `json:"left_seconds,omitempty"`
	// Took is how many seconds the job has been running: not those in the queue, or
	// waiting for workers.
	Took    float64          `json:"took_seconds"`
	Latest  map[string]Value `json:"latest,omitempty"` // "loss", "accuracy", "val_loss", ...
	Created time.Time        `json:"created"`
	Started time.Time        `json:"started,omitzero"` // when it was first running
	Ended   time.Time        `json:"ended,omitzero"`
}

// Ended reports whether a job in that state never runs again.
func Ended(state string) bool {
	return state == JobDone || state == JobFailed || state == JobCancelled
}

// A Value is a number for people, which may be NaN; JSON has null for that.
type Value float64

// MarshalJSON returns the number, or null when it is not finite.
func (v Value) MarshalJSON() ([]byte, error) {
	if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(v), 'g', -1, 64), nil
}

// UnmarshalJSON parses a number; null is NaN.
func (v *Value) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*v = Value(math.NaN())
		return nil
	}
	return json.Unmarshal(text, (*float64)(v))
}

// An Origin is where a submitted spec comes from, for messages about it: the file of its
// owner, and where in it the settings are, as line and column by path.
type Origin struct {
	File   string            `json:"file"`
	Places map[string][2]int `json:"places,omitempty"`
}

// MaxPlaces bounds an Origin.
const MaxPlaces = 1 << 13

// Messages of a client to a coordinator. It asks one thing at a time, and gets
// the answer named here, or Refused.
type (
	// Visit is the first message of a client. Visited answers it.
	Visit struct {
		Protocol int    `json:"protocol"`
		Version  string `json:"version"`
	}
	// Submit queues a job, whose spec (YAML) goes with it as bytes. Submitted
	// answers it, once the job is on disk.
	Submit struct {
		Name   string  `json:"name"` // for people; the job's ID begins with it
		Origin *Origin `json:"origin,omitempty"`
		// Files are the data that comes with the job: Ready messages ask for it, before
		// Submitted. Paths in the spec are theirs.
		Files []Upload `json:"files,omitempty"`
	}
	// List asks for all jobs. Listed answers it.
	List struct{}
	// Show asks for one job. Shown answers it. Here and below Job may be any
	// beginning of an ID that names one job.
	Show struct {
		Job string `json:"job"`
	}
	// Logs asks for the log of a job. Log messages answer it; with Follow they come
	// until the job has ended.
	Logs struct {
		Job    string `json:"job"`
		Follow bool   `json:"follow"`
	}
	// CancelJob ends a job; what it has saved stays. Cancelled answers it, once that is on
	// disk.
	CancelJob struct {
		Job string `json:"job"`
	}
	// FetchFiles asks for the files of a job's run directory. File messages answer
	// it, then FilesEnd.
	FetchFiles struct {
		Job string `json:"job"`
	}
	// Prune removes the jobs that have ended, with their files, except the latest
	// ones. Pruned answers it.
	Prune struct {
		Keep int `json:"keep"`
	}
)

// An Upload is a file of data that comes with a job. Path is relative, with slashes.
type Upload struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hexadecimal digits
}

// Messages of a coordinator to a client.
type (
	// Visited answers Visit.
	Visited struct {
		Version string `json:"version"`
	}
	// Ready asks for the bytes of a file of Submit from an offset: File messages, for
	// at most UploadWindow bytes.
	Ready struct {
		File   int   `json:"file"`
		Offset int64 `json:"offset"`
	}
	// Submitted answers Submit.
	Submitted struct {
		Job      string `json:"job"`
		Position int    `json:"position"`       // in the queue, from 1
		Note     string `json:"note,omitempty"` // what it waits for besides its turn
		Data     string `json:"data,omitempty"` // as in JobStatus
	}
	// Listed is a part of the answer to List: jobs that run, then the queue, then
	// what has ended, the latest first.
	Listed struct {
		Jobs []JobStatus `json:"jobs"`
		Last bool        `json:"last"`
	}
	// Shown answers Show.
	Shown struct {
		Job JobStatus `json:"job"`
	}
	// Log is a piece of a log, which goes with it as bytes; the last has Last set.
	Log struct {
		Last bool `json:"last"`
	}
	// Cancelled answers CancelJob.
	Cancelled struct {
		Job   string `json:"job"`
		State string `json:"state"`          // now: a job that saves first has not ended yet
		Note  string `json:"note,omitempty"` // why it could be back: it is not on disk
	}
	// File is a piece of a file, which goes with it as bytes. The pieces of a file
	// come in order, and have Size bytes together; a file without bytes has one
	// piece. Path is relative, with slashes, and never leaves the directory.
	File struct {
		Path   string `json:"path"`
		Size   int64  `json:"size"`
		Offset int64  `json:"offset"`
	}
	// FilesEnd comes after all files.
	FilesEnd struct {
		Files int   `json:"files"`
		Bytes int64 `json:"bytes"`
	}
	// Pruned answers Prune.
	Pruned struct {
		Jobs []string `json:"jobs"`
	}
	// Refused answers anything: it was not done, and why.
	Refused struct {
		Err string `json:"err"`
	}
)
