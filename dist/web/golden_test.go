package web

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/gespann/gespann/internal/clock/clocktest"
)

var update = flag.Bool("update", false, "write the golden files")

// get asks a handler as a browser on this machine does.
func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "localhost:8080"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func handler(src Source) http.Handler {
	return Handler(src, Options{Join: "big.example:7077", Clock: clocktest.At(noon.Add(time.Second), 0)})
}

// digest is that of the files of the page, in their addresses.
var digest = regexp.MustCompile(`\?[0-9a-f]{12}`)

// golden compares text to a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	got = digest.ReplaceAll(got, []byte("?DIGEST"))
	if *update {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	a, b := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("%s:%d:\n got %.300s\nwant %.300s\n(go test -update writes it)", path, i+1, a[i], b[i])
		}
	}
	t.Fatalf("%s: got %d lines, want %d", path, len(a), len(b))
}

func TestPages(t *testing.T) {
	older := running(0.25)
	older.view.Jobs[3].Curve = nil
	older.curves["mnist-mlp-5512fe"] = someCurve(1)
	unsaved := emptyView()
	unsaved.Keeps = false
	unsaved.Workers = runningView(0.1).Workers[:1]
	for _, c := range []struct {
		name, path string
		src        *fake
	}{
		{"empty.html", "/", newFake(emptyView())},
		{"unsaved.html", "/", newFake(unsaved)},
		{"running.html", "/", running(0.25)},
		{"job.html", "/jobs/mnist-cnn-3fa1c0", running(0.25)},
		{"failed.html", "/jobs/digits-mlp-0b9e44", running(0.25)},
		{"queued.html", "/jobs/digits-resnet-77ab01", running(0.25)},
		{"old.html", "/jobs/mnist-mlp-5512fe", older},
		{"hostile.html", "/", newFake(hostileView())},
		{"hostile-job.html", "/jobs/mnist-cnn-3fa1c0", hostileSource()},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := get(t, handler(c.src), c.path)
			if w.Code != http.StatusOK {
				t.Fatalf("GET %s: got %d, want 200", c.path, w.Code)
			}
			checkMarkup(t, w.Body.Bytes())
			golden(t, c.name, w.Body.Bytes())
		})
	}
}

// TestDoubt checks that page, API and metrics do not say what cannot be told.
func TestDoubt(t *testing.T) {
	src := running(0.25)
	src.view.Jobs[0].Account.OneWorker = 2000 // it met a busy moment
	page := get(t, handler(src), "/jobs/mnist-cnn-3fa1c0").Body.String()
	const want = "one alone made 2.00k rows/s before the run, but 4.50k by its own time in it: " +
		"something else kept the machine busy before the run."
	if !strings.Contains(page, want) || strings.Contains(page, "times</strong> as fast") {
		t.Errorf("the page says a speed-up, or not %q", want)
	}
	api := get(t, handler(src), "/api/v1/jobs/mnist-cnn-3fa1c0").Body.String()
	if !strings.Contains(api, `"speed_up": 0,`) || !strings.Contains(api, `"doubt": "probe"`) {
		t.Errorf("the API says a speed-up, or no doubt:\n%s", api)
	}
	if text := get(t, handler(src), "/metrics").Body.String(); strings.Contains(text, "gespann_job_speed_up{") {
		t.Error("the metrics have a speed-up")
	}
}

// hostileSource has nasty text in files too.
func hostileSource() *fake {
	f := newFake(hostileView())
	f.specs["mnist-cnn-3fa1c0"] = "</pre>" + nasty
	f.logs["mnist-cnn-3fa1c0"] = "</pre>" + nasty + "\xff\n"
	return f
}

// TestLong checks that long texts are cut, and that the page says so.
func TestLong(t *testing.T) {
	f := running(0.1)
	f.specs["mnist-cnn-3fa1c0"] = strings.Repeat("ü", maxShown)
	f.logs["mnist-cnn-3fa1c0"] = strings.Repeat("a line\n", maxTail)
	page := get(t, handler(f), "/jobs/mnist-cnn-3fa1c0").Body.String()
	for _, want := range []string{">The rest is in <a", ">The end of it.", ">a line\na line\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if len(page) > maxShown+maxTail+32<<10 {
		t.Errorf("got %d bytes", len(page))
	}
}

// checkMarkup checks that a page loads and runs only what it should.
func checkMarkup(t *testing.T, page []byte) {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	scripts := 0
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "script" {
			scripts++
		}
		for _, a := range n.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style":
				t.Errorf("<%s %s=%q>: want none of these", n.Data, a.Key, a.Val)
			case a.Key == "href", a.Key == "src":
				if a.Val[0] != '/' && a.Val[0] != '#' || strings.HasPrefix(a.Val, "//") {
					t.Errorf("<%s %s=%q>: want an address of this page", n.Data, a.Key, a.Val)
				}
			case a.Key == "id":
				if ids[a.Val] {
					t.Errorf("id=%q twice", a.Val)
				}
				ids[a.Val] = true
			}
		}
	}
	if scripts != 1 {
		t.Errorf("got %d scripts, want 1", scripts)
	}
	for _, bad := range []string{"<no value>", "ZgotmplZ", "%!", "&lt;nil&gt;", "\u202e", "\x1b"} {
		if bytes.Contains(page, []byte(bad)) {
			t.Errorf("the page has %q", bad)
		}
	}
}

// TestHuge checks that a page of a large cluster stays small.
func TestHuge(t *testing.T) {
	v := runningView(1)
	for len(v.Workers) < 4096 {
		v.Workers = append(v.Workers, v.Workers[0])
	}
	for len(v.Jobs) < 5000 {
		v.Jobs = append(v.Jobs, v.Jobs[:5]...)
	}
	w := get(t, handler(newFake(v)), "/")
	if size := w.Body.Len(); w.Code != http.StatusOK || size > 1<<20 {
		t.Errorf("got %d and %d bytes, want 200 and at most 1 MiB", w.Code, size)
	}
	if !strings.Contains(w.Body.String(), "and 3,896 more") {
		t.Error("the page does not say that there are more workers")
	}
}

// TestAlone checks the page of a coordinator that nobody can join.
func TestAlone(t *testing.T) {
	page := get(t, Handler(newFake(emptyView()), Options{}), "/").Body.String()
	if !strings.Contains(page, "they start with the run") || strings.Contains(page, "--coordinator") {
		t.Errorf("got %s", page)
	}
}

func TestNothing(t *testing.T) {
	h := handler(running(0.5))
	for _, path := range []string{"/jobs/none", "/jobs/none/events", "/nix", "/static/none.js",
		"/static/page.html", "/static/..%2fpage.html", "/jobs/" + strings.Repeat("x", 5000), "/jobs/%00"} {
		w := get(t, h, path)
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "Nothing here") {
			t.Errorf("GET %.40s: got %d %.100q, want a page with 404", path, w.Code, w.Body)
		}
	}
	for _, file := range []string{"style.css", "live.js", "icon.svg"} {
		if w := get(t, h, "/static/"+file); w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("GET /static/%s: got %d and %d bytes", file, w.Code, w.Body.Len())
		}
	}
}

func TestAPI(t *testing.T) {
	for _, c := range []struct {
		name, path string
		src        *fake
		code       int
	}{
		{"api.json", "/api", running(0.05), 200},
		{"coordinator.json", "/api/v1/coordinator", running(0.05), 200},
		{"workers.json", "/api/v1/workers", running(0.05), 200},
		{"workers-empty.json", "/api/v1/workers", newFake(emptyView()), 200},
		{"workers-hostile.json", "/api/v1/workers", newFake(hostileView()), 200},
		{"jobs.json", "/api/v1/jobs", running(0.05), 200},
		{"job.json", "/api/v1/jobs/mnist-cnn-3fa1c0", running(0.05), 200},
		{"failed.json", "/api/v1/jobs/digits-mlp-0b9e44", running(0.05), 200},
		{"none.json", "/api/v1/jobs/none", running(0.05), 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := get(t, handler(c.src), c.path)
			if w.Code != c.code || !json.Valid(w.Body.Bytes()) {
				t.Fatalf("GET %s: got %d, want %d and JSON:\n%s", c.path, w.Code, c.code, w.Body)
			}
			if got, want := w.Header().Get("Content-Type"), "application/json"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			golden(t, c.name, w.Body.Bytes())
		})
	}
}

// settled waits until no more goroutines run than before.
func settled(t *testing.T, before int) {
	t.Helper()
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 1<<20)
	t.Errorf("got %d goroutines, want %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}
