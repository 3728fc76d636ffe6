package web

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/dist/worker"
)

// A still is a worker at a moment.
type still struct {
	view worker.View
	now  time.Duration
}

func (s still) View() worker.View      { return s.view }
func (s still) Elapsed() time.Duration { return s.now }

// busy is a worker in the middle of a job.
func busy() still {
	return still{now: time.Hour, view: worker.View{
		ID: "w1", Name: "big\"box\\1\n", Version: "v0.4.0", Backend: "cpu", Device: "a processor",
		Connected: true, Phase: "compute", Job: "20260302-1", Steps: 12, Connections: 3, Jobs: 2, Failures: 1,
		Cost:  wire.Cost{Compute: 5, Update: 0.5, Wait: 2, Comm: 1.5, Rows: 768, Sent: 1 << 20, Received: 1 << 21},
		Moved: time.Hour - time.Second,
	}}
}

// TestWorkerMetrics checks the text of a worker in both formats.
func TestWorkerMetrics(t *testing.T) {
	h := WorkerHandler(busy(), nil)
	text := get(t, h, "/metrics").Body.String()
	for _, err := range checkExposition(text) {
		t.Error(err)
	}
	golden(t, "metrics-worker.txt", []byte(text[:strings.Index(text, "# HELP go_info")]))
	checkOpenMetrics(t, h, text)
	promtool(t, text)
}

// TestWorkerHealth checks what a worker says of itself, and that it is guarded like the page.
func TestWorkerHealth(t *testing.T) {
	lonely, stuck, leaving := busy(), busy(), busy()
	lonely.view.Connected = false
	leaving.view.Leaving = true
	stuck.view.Moved -= 2 * time.Minute
	const late = "503 the worker has not moved for 121 s\n"
	for _, c := range []struct {
		name           string
		of             still
		healthy, ready string
	}{
		{"busy", busy(), "200 ok\n", "200 ok\n"},
		{"no coordinator", lonely, "200 ok\n", "503 the worker has no coordinator\n"},
		{"leaving", leaving, "200 ok\n", "503 the worker is leaving\n"},
		{"stuck", stuck, late, late},
	} {
		h := WorkerHandler(c.of, nil)
		for path, want := range map[string]string{"/healthz": c.healthy, "/readyz": c.ready} {
			w := get(t, h, path)
			if got := strings.TrimSuffix(w.Result().Status, " "+http.StatusText(w.Code)) + " " + w.Body.String(); got != want {
				t.Errorf("%s: %s: got %q, want %q", c.name, path, got, want)
			}
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Host = "evil.example"
	w := httptest.NewRecorder()
	WorkerHandler(busy(), nil).ServeHTTP(w, r)
	if w.Code != http.StatusMisdirectedRequest {
		t.Errorf("asked as evil.example on loopback: got %d, want %d", w.Code, http.StatusMisdirectedRequest)
	}
}

// ours matches the metrics that do not change between two answers.
var ours = regexp.MustCompile(`(?m)^(?:# (?:HELP|TYPE) )?gespann_.*\n`)

// checkOpenMetrics asks for the same numbers in OpenMetrics, and compares: a counter's
// family lacks the suffix of its series, and an end is marked.
func checkOpenMetrics(t *testing.T, h http.Handler, plain string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Host = "localhost"
	r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); got != openMetrics {
		t.Errorf("got %s, want %s", got, openMetrics)
	}
	text, ended := strings.CutSuffix(w.Body.String(), "# EOF\n")
	if !ended {
		t.Error("OpenMetrics without # EOF at its end")
	}
	want := regexp.MustCompile(`(?m)^# HELP (\S+)_total (.*)\n# TYPE \S+_total counter$`).
		ReplaceAllString(plain, "# HELP $1 $2\n# TYPE $1 counter")
	if got, want := ours.FindAllString(text, -1), ours.FindAllString(want, -1); strings.Join(got, "") != strings.Join(want, "") {
		t.Errorf("OpenMetrics: got\n%s\nwant\n%s", got, want)
	}
}

func TestWantsOpenMetrics(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                             false,
		"*/*":                          false,
		"text/plain;version=0.0.4":     false,
		"application/openmetrics-text": false, // of any version: we have one
		"application/openmetrics-text;version=0.0.1":                            false,
		"application/openmetrics-text;version=1.0.0;q=0":                        false,
		"application/openmetrics-text; version=1.0.0; charset=utf-8":            true,
		"text/plain;q=0.5, application/openmetrics-text;version=1.0.0":          true,
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6": true,
		"application/openmetrics-text;version=\"1.0.0":                          false,
	} {
		if got := wantsOpenMetrics([]string{accept}); got != want {
			t.Errorf("wantsOpenMetrics(%q) = %v, want %v", accept, got, want)
		}
	}
}

// promtool has Prometheus's own program judge a text, where it is installed.
func promtool(t *testing.T, text string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("promtool is not installed: checked with the rules of this package only")
		return
	}
	cmd := exec.Command(program, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
