// Package web serves the page of a coordinator: its workers and jobs as HTML that
// works without JavaScript and moves with it, as JSON below /api, and as metrics
// for Prometheus. Of a worker it serves metrics and health.
//
// It only shows: there is nothing on it that changes a coordinator. It has no
// passwords either, so whoever reaches its address reads what is there; on
// loopback it answers only requests that name this machine, so no page from
// elsewhere reads it by way of a browser. Everything that the page loads is part
// of the program. docs/dashboard.md describes it.
package web

import (
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gespann/gespann/dist/server"
	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/internal/clock"
)

// A Source is a coordinator to look at: a *server.Server. Its methods may be
// called concurrently.
type Source interface {
	// View returns the coordinator at a moment, which does not change.
	View() *server.View
	// Watch returns a channel that gets something when View may have changed, and is
	// closed with the coordinator; stop ends the watch.
	Watch() (changes <-chan struct{}, stop func())
	// Curve returns the curve of a job, also of one that ended long ago.
	Curve(id string) (*jobs.Curve, error)
	// Spec returns the YAML of a job; an error when it is not kept.
	Spec(id string) ([]byte, error)
	// LogTail returns at most so many bytes from the end of a job's log, which may
	// begin inside a line; an error when there is none.
	LogTail(id string, bytes int) ([]byte, error)
}

// Options say how a page looks and behaves. The zero value is useful.
type Options struct {
	// Join is the address where workers and jobs reach the coordinator, which the
	// page tells people; without a host, such as ":7077", it is on the host that the
	// page is asked for. "": nobody can join.
	Join        string
	Log         *slog.Logger // nil: none
	clock.Clock              // that of the coordinator; nil: clock.System
}

// A site is the handler with what its pages share.
type site struct {
	Options
	src     Source
	files   *assets
	streams streams
}

// Handler returns the page of a coordinator, with /metrics, /healthz, /readyz and /api.
func Handler(src Source, o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	s := &site{Options: o, src: src, files: newAssets()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.showOverview)
	mux.HandleFunc("GET /events", s.followOverview)
	mux.HandleFunc("GET /jobs/{id}", s.showJob)
	mux.HandleFunc("GET /jobs/{id}/events", s.followJob)
	mux.HandleFunc("GET /static/{file}", s.static)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(w, s.stuck()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(w, s.unready()) })
	mux.HandleFunc("GET /api", s.apiIndex)
	mux.HandleFunc("GET /api/v1/coordinator", s.apiCoordinator)
	mux.HandleFunc("GET /api/v1/workers", s.apiWorkers)
	mux.HandleFunc("GET /api/v1/jobs", s.apiJobs)
	mux.HandleFunc("GET /api/v1/jobs/{id}", s.apiJob)
	mux.HandleFunc("GET /", s.nothing)
	return survive(o.Log, guard(mux))
}

// survive answers a request whose handler panics, and lets the process live.
func survive(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			fault := recover()
			if fault == nil {
				return
			}
			log.Error("the page has a fault", "path", r.URL.Path, "fault", fault, "stack", string(debug.Stack()))
			http.Error(w, "the page has a fault; the process goes on", http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}
