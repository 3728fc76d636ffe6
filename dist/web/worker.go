package web

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gespann/gespann/dist/worker"
)

// A Worker is a worker to look at: a *worker.Monitor. Its methods may be called
// concurrently.
type Worker interface {
	View() worker.View
	// Elapsed is the time by which View's Moved goes.
	Elapsed() time.Duration
}

// WorkerHandler returns /metrics, /healthz and /readyz of a worker, kept like the page of a
// coordinator. A nil log is none.
func WorkerHandler(w Worker, log *slog.Logger) http.Handler {
	log = cmp.Or(log, slog.New(slog.DiscardHandler))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(out http.ResponseWriter, r *http.Request) {
		e := newExposition(r)
		e.self(w.View(), workerStuck(w) == "", workerUnready(w) == "")
		e.process()
		e.send(out)
	})
	mux.HandleFunc("GET /healthz", func(out http.ResponseWriter, _ *http.Request) { answerHealth(out, workerStuck(w)) })
	mux.HandleFunc("GET /readyz", func(out http.ResponseWriter, _ *http.Request) { answerHealth(out, workerUnready(w)) })
	return survive(log, guard(mux))
}

// workerStuck returns why a worker does not move, or "".
func workerStuck(w Worker) string {
	v := w.View()
	if age := w.Elapsed() - v.Moved; age > worker.StuckAfter {
		return fmt.Sprintf("the worker has not moved for %.0f s", age.Seconds())
	}
	return ""
}

// workerUnready returns why a worker takes no work, or "".
func workerUnready(w Worker) string {
	v := w.View()
	switch why := workerStuck(w); {
	case why != "":
		return why
	case v.Leaving:
		return "the worker is leaving"
	case !v.Connected:
		return "the worker has no coordinator"
	}
	return ""
}

// self tells about this worker. The coordinator tells of all its workers as
// gespann_worker_..., and of each since it has joined its job: these are since the start of
// the process, so that both can be scraped and nothing is summed twice.
func (e *exposition) self(v worker.View, healthy, ready bool) {
	e.begin("gespann_self_info", "gauge", "What this worker is; always 1.")
	e.add(1, "id", v.ID, "worker", v.Name, "backend", v.Backend, "device", v.Device, "version", v.Version)
	e.one("gespann_self_healthy", "gauge", "Whether /healthz says ok.", truth(healthy))
	e.one("gespann_self_ready", "gauge", "Whether /readyz says ok.", truth(ready))
	e.one("gespann_self_connected", "gauge", "Whether a coordinator has this worker.", truth(v.Connected))
	e.one("gespann_self_connections_total", "counter", "Times that a coordinator has let this worker in.", float64(v.Connections))
	e.begin("gespann_self_state", "gauge", "What this worker does: 1 for one of these, 0 for the others.")
	for _, state := range workerStates {
		if state != "silent" { // that is what others see
			e.add(truth(state == v.Phase), "state", state)
		}
	}
	e.begin("gespann_self_job_info", "gauge", "The job that this worker has open; absent if none.")
	if v.Job != "" {
		e.add(1, "job_id", v.Job)
	}
	e.one("gespann_self_jobs_opened_total", "counter", "Jobs that this worker has opened, also again.", float64(v.Jobs))
	e.one("gespann_self_failures_total", "counter", "What this worker could not do for its coordinator.", float64(v.Failures))
	e.one("gespann_self_steps_total", "counter", "Optimiser steps that this worker has taken, alone or with others.", float64(v.Steps))
	e.one("gespann_self_rows_total", "counter", "Rows that this worker has trained on.", float64(v.Cost.Rows))
	e.begin("gespann_self_seconds_total", "counter",
		"Time of this worker in jobs: computing, waiting for others, moving tensors.")
	e.add(v.Cost.Compute, "kind", "compute")
	e.add(v.Cost.Wait, "kind", "wait")
	e.add(v.Cost.Comm, "kind", "communication")
	e.one("gespann_self_update_seconds_total", "counter", "The part of computing that all workers of a group make alike.", v.Cost.Update)
	e.one("gespann_self_sent_bytes_total", "counter", "Tensors sent.", float64(v.Cost.Sent))
	e.one("gespann_self_received_bytes_total", "counter", "Tensors received.", float64(v.Cost.Received))
}
