package server

import (
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
)

// A View is a coordinator at a moment, for its page and its API. It does not
// change, and its parts are shared between Views: nobody may write to it.
type View struct {
	Version     string       `json:"version"`
	Coordinator string       `json:"coordinator"` // random, of this process
	Started     time.Time    `json:"started"`
	Time        time.Time    `json:"time"` // of this View
	Uptime      float64      `json:"uptime_seconds"`
	Keeps       bool         `json:"keeps_jobs"`        // has a folder, and takes jobs
	Warning     string       `json:"warning,omitempty"` // the disk is full, and such
	Workers     []WorkerView `json:"workers"`           // by name, then ID
	Jobs        []JobView    `json:"jobs"`              // running, then queued in order, then ended, latest first
	Totals      Totals       `json:"totals"`
}

// A WorkerView is a worker that is connected.
type WorkerView struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Address string    `json:"address"`
	Host    string    `json:"host"` // equal for workers on one machine
	Version string    `json:"version"`
	Backend string    `json:"backend"`
	Device  string    `json:"device"`
	Threads int       `json:"threads"`
	State   string    `json:"state"` // "idle", "opening", "compute", "wait", "silent"
	Job     string    `json:"job,omitempty"`
	Since   time.Time `json:"since"`
	Heard   float64   `json:"heard_seconds"` // since its latest message
	// RowsPerSecond is its speed over the last seconds.
	RowsPerSecond float64 `json:"rows_per_second"`
	// Shares of the time since it joined the job: together 1, or all 0.
	Compute  float64 `json:"compute"`
	Wait     float64 `json:"wait"`
	Comm     float64 `json:"comm"`
	Seconds  float64 `json:"seconds"` // that they are shares of
	Rows     int64   `json:"rows"`    // trained on for the job
	Sent     int64   `json:"sent_bytes"`
	Received int64   `json:"received_bytes"`
}

// A JobView is a job with what the page shows of it.
type JobView struct {
	wire.JobStatus
	// Curve is nil for jobs that ended long ago: see Server.Curve.
	Curve   *jobs.Curve      `json:"curve,omitempty"`
	Account *backend.Account `json:"account,omitempty"`
}

// Totals count what happened since the coordinator started.
type Totals struct {
	Beats          int64 `json:"beats"`
	Messages       int64 `json:"messages"`         // from workers, beats included
	Commits        int64 `json:"commits"`          // merged into a center
	TensorBytesIn  int64 `json:"tensor_bytes_in"`  // by way of the coordinator
	TensorBytesOut int64 `json:"tensor_bytes_out"` // queued for sending
	WorkersJoined  int64 `json:"workers_joined"`
	WorkersLost    int64 `json:"workers_lost"`
	JobsDone       int64 `json:"jobs_done"`
	JobsFailed     int64 `json:"jobs_failed"`
	JobsCancelled  int64 `json:"jobs_cancelled"`
	Rows           int64 `json:"rows"` // trained on, by all jobs
}

// Job returns the job with that ID, or nil.
func (v *View) Job(id string) *JobView {
	for i := range v.Jobs {
		if v.Jobs[i].ID == id {
			return &v.Jobs[i]
		}
	}
	return nil
}
