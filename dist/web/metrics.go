package web

import (
	"net/http"
	"slices"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/wire"
)

// metrics answers with the numbers of a coordinator.
func (s *site) metrics(w http.ResponseWriter, r *http.Request) {
	v := s.src.View()
	e := newExposition(r)
	e.coordinator(v, s.stuck() == "", s.unready() == "")
	e.workers(v.Workers)
	e.jobs(v.Jobs)
	e.totals(v.Totals)
	e.process()
	e.send(w)
}

func (e *exposition) coordinator(v *server.View, healthy, ready bool) {
	e.begin("gespann_build_info", "gauge", "Version of the coordinator; always 1.")
	e.add(1, "version", v.Version)
	e.one("gespann_healthy", "gauge", "Whether /healthz says ok.", truth(healthy))
	e.one("gespann_ready", "gauge", "Whether /readyz says ok.", truth(ready))
	e.one("gespann_start_time_seconds", "gauge", "When the coordinator started, since 1970.",
		float64(v.Started.UnixMilli())/1000)
}

// workerStates are all that a worker may be in.
var workerStates = []string{"idle", "opening", "compute", "wait", "silent"}

func (e *exposition) workers(all []server.WorkerView) {
	byState := map[string]int{}
	for _, w := range all {
		byState[w.State]++
	}
	e.begin("gespann_workers", "gauge", "Workers that are connected, by state.")
	for _, state := range workerStates {
		e.add(float64(byState[state]), "state", state)
	}
	e.begin("gespann_worker_info", "gauge", "What a worker is; always 1.")
	for _, w := range all {
		e.add(1, "id", w.ID, "worker", w.Name, "address", w.Address, "backend", w.Backend,
			"device", w.Device, "version", w.Version)
	}
	each := func(name, kind, help string, value func(server.WorkerView) float64) {
		e.begin(name, kind, help)
		for _, w := range all {
			e.add(value(w), "id", w.ID, "worker", w.Name)
		}
	}
	each("gespann_worker_rows_total", "counter", "Rows trained on since the worker joined its job.",
		func(w server.WorkerView) float64 { return float64(w.Rows) })
	each("gespann_worker_rows_per_second", "gauge", "Speed of a worker over the last seconds.",
		func(w server.WorkerView) float64 { return w.RowsPerSecond })
	each("gespann_worker_sent_bytes_total", "counter", "Tensors sent since the worker joined its job.",
		func(w server.WorkerView) float64 { return float64(w.Sent) })
	each("gespann_worker_received_bytes_total", "counter", "Tensors received since the worker joined its job.",
		func(w server.WorkerView) float64 { return float64(w.Received) })
	each("gespann_worker_silence_seconds", "gauge", "Time since the latest message of a worker.",
		func(w server.WorkerView) float64 { return w.Heard })
	e.begin("gespann_worker_seconds_total", "counter",
		"Time of a worker since it joined its job: computing, waiting for others, moving tensors.")
	for _, w := range all {
		s := sharesOf(w.Compute, w.Wait, w.Comm)
		e.add(s.Compute*w.Seconds, "id", w.ID, "worker", w.Name, "kind", "compute")
		e.add(s.Wait*w.Seconds, "id", w.ID, "worker", w.Name, "kind", "wait")
		e.add(s.Comm*w.Seconds, "id", w.ID, "worker", w.Name, "kind", "communication")
	}
}

// jobStates are all that a job may be in.
var jobStates = []string{wire.JobQueued, wire.JobStarting, wire.JobWaiting, wire.JobRunning,
	wire.JobPaused, wire.JobDone, wire.JobFailed, wire.JobCancelled, wire.JobLost}

func (e *exposition) jobs(all []server.JobView) {
	byState := map[string]int{}
	var active []server.JobView
	for _, j := range all {
		byState[j.State]++
		if j.State != wire.JobQueued && !wire.Ended(j.State) {
			active = append(active, j)
		}
	}
	e.begin("gespann_jobs", "gauge", "Jobs that the coordinator knows, by state.")
	for _, state := range jobStates {
		e.add(float64(byState[state]), "state", state)
	}
	e.one("gespann_queue_length", "gauge", "Submitted jobs that wait for their turn.",
		float64(byState[wire.JobQueued]))
	each := func(name, kind, help string, value func(server.JobView) float64) {
		e.begin(name, kind, help)
		for _, j := range active {
			e.add(value(j), "job_id", j.ID)
		}
	}
	each("gespann_job_progress_ratio", "gauge", "Share of a job that is done, 0 to 1.",
		func(j server.JobView) float64 { return j.Progress })
	each("gespann_job_left_seconds", "gauge", "Guess of the time until a job ends, as its log has it; 0: not known.",
		func(j server.JobView) float64 { return j.Left })
	each("gespann_job_epoch", "gauge", "Epoch of a job, counted from 1.",
		func(j server.JobView) float64 { return float64(j.Epoch) })
	each("gespann_job_steps_total", "counter", "Optimiser steps of a job.",
		func(j server.JobView) float64 { return float64(j.Done) })
	each("gespann_job_rows_per_second", "gauge", "Speed of a job, all workers together.",
		func(j server.JobView) float64 { return j.RowsPerSecond })
	each("gespann_job_workers", "gauge", "Workers that take part in a job.",
		func(j server.JobView) float64 { return float64(j.Workers) })
	worth := func(name, help string, value func(backend.Worth) float64) {
		e.begin(name, "gauge", help)
		for _, j := range active {
			if j.Account == nil {
				continue
			}
			if w := j.Account.Worth(); w.SpeedUp > 0 {
				e.add(value(w), "job_id", j.ID)
			}
		}
	}
	worth("gespann_job_speed_up", "How many times as fast as one worker a job is; absent where that cannot be told.",
		func(w backend.Worth) float64 { return w.SpeedUp })
	worth("gespann_job_efficiency", "Speed-up of a job per worker, 0 to 1; likewise.",
		func(w backend.Worth) float64 { return w.Efficiency })
	e.values(active)
}

// values tells losses and metrics.
func (e *exposition) values(active []server.JobView) {
	e.begin("gespann_job_loss", "gauge", "Latest loss of a job, by split.")
	for _, j := range active {
		for _, s := range []struct{ name, split string }{
			{"loss", "training"}, {"val_loss", "validation"}, {"test_loss", "test"},
		} {
			if v, ok := j.Latest[s.name]; ok {
				e.add(float64(v), "job_id", j.ID, "split", s.split)
			}
		}
	}
	e.begin("gespann_job_metric", "gauge", "Latest metrics of a job, by name.")
	for _, j := range active {
		m := jobModel{JobView: &j}
		for _, v := range m.Values() {
			if !slices.Contains([]string{"loss", "val_loss", "test_loss"}, v.Name) {
				e.add(float64(v.Value), "job_id", j.ID, "metric", v.Name)
			}
		}
	}
}

func (e *exposition) totals(t server.Totals) {
	for _, c := range []struct {
		name, help string
		v          int64
	}{
		{"gespann_rows_total", "Rows trained on, by all jobs.", t.Rows},
		{"gespann_commits_total", "Results of workers merged into a center.", t.Commits},
		{"gespann_beats_total", "Signs of life from workers.", t.Beats},
		{"gespann_messages_total", "Messages from workers, signs of life included.", t.Messages},
		{"gespann_tensor_received_bytes_total", "Tensors that came to the coordinator.", t.TensorBytesIn},
		{"gespann_tensor_sent_bytes_total", "Tensors that the coordinator sent.", t.TensorBytesOut},
		{"gespann_workers_joined_total", "Workers that connected.", t.WorkersJoined},
		{"gespann_workers_lost_total", "Workers whose connection ended.", t.WorkersLost},
		{"gespann_workers_left_total", "Workers that had been told to end, and ended between steps.", t.WorkersLeft},
	} {
		e.one(c.name, "counter", c.help, float64(c.v))
	}
	e.begin("gespann_jobs_ended_total", "counter", "Jobs that ended, by how.")
	e.add(float64(t.JobsDone), "state", wire.JobDone)
	e.add(float64(t.JobsFailed), "state", wire.JobFailed)
	e.add(float64(t.JobsCancelled), "state", wire.JobCancelled)
}
