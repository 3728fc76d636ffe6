package web

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/server/jobs"
)

// apiIndex lists what there is.
func (s *site) apiIndex(w http.ResponseWriter, _ *http.Request) {
	s.json(w, http.StatusOK, map[string]string{
		"coordinator": "/api/v1/coordinator",
		"workers":     "/api/v1/workers",
		"jobs":        "/api/v1/jobs",
		"job":         "/api/v1/jobs/{id}",
		"metrics":     "/metrics",
		"health":      "/healthz",
		"ready":       "/readyz",
	})
}

// apiCoordinator tells about the coordinator itself.
func (s *site) apiCoordinator(w http.ResponseWriter, _ *http.Request) {
	v := *s.src.View()
	s.json(w, http.StatusOK, struct {
		server.View
		Workers int `json:"workers"` // hides the list
		Jobs    int `json:"jobs"`
	}{v, len(v.Workers), len(v.Jobs)})
}

func (s *site) apiWorkers(w http.ResponseWriter, _ *http.Request) {
	v := s.src.View()
	out := make([]server.WorkerView, len(v.Workers))
	for i, one := range v.Workers {
		for _, f := range []*float64{&one.Heard, &one.RowsPerSecond, &one.Compute, &one.Wait, &one.Comm} {
			if !finite(*f) {
				*f = 0
			}
		}
		out[i] = one
	}
	s.json(w, http.StatusOK, map[string]any{"workers": out, "lost": append([]server.LostWorker{}, v.Lost...)})
}

// apiJobs lists jobs without their curves and accounts.
func (s *site) apiJobs(w http.ResponseWriter, _ *http.Request) {
	v := s.src.View()
	out := make([]server.JobView, len(v.Jobs))
	for i, one := range v.Jobs {
		out[i] = server.JobView{JobStatus: one.JobStatus, Private: one.Private}
	}
	s.json(w, http.StatusOK, map[string]any{"jobs": out})
}

// apiJob tells all about one job.
func (s *site) apiJob(w http.ResponseWriter, r *http.Request) {
	j := s.src.View().Job(r.PathValue("id"))
	if j == nil {
		s.json(w, http.StatusNotFound, map[string]string{
			"error": fmt.Sprintf("job %.80q: there is none", r.PathValue("id")),
		})
		return
	}
	out := struct {
		server.JobView
		Worth *backend.Worth `json:"worth,omitempty"`
		Spec  string         `json:"spec,omitempty"`
		Log   string         `json:"log,omitempty"`
	}{JobView: *j}
	if out.Account != nil {
		worth := out.Account.Worth()
		out.Worth = &worth
	}
	if out.Curve == nil {
		if curve, err := s.src.Curve(j.ID); err == nil {
			out.Curve = curve
		}
	}
	if spec, err := s.src.Spec(j.ID); err == nil {
		out.Spec = string(spec)
	}
	if log, err := s.src.LogTail(j.ID, maxTail); err == nil {
		out.Log, _ = tail(log, maxTail)
	}
	if out.Curve != nil { // lists, also when they are empty
		out.Curve = &jobs.Curve{
			Train:      append([]jobs.Point{}, out.Curve.Train...),
			Validation: append([]jobs.Point{}, out.Curve.Validation...),
		}
	}
	s.json(w, http.StatusOK, out)
}

// json sends a value.
func (s *site) json(w http.ResponseWriter, code int, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		s.Log.Error("the answer cannot be made", "err", err)
		code, text = http.StatusInternalServerError, []byte(`{"error": "the answer cannot be made"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(text, '\n')) // an error is the reader's
}
