package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// serving starts a page on loopback, and returns its address and what ends it.
func serving(t *testing.T, src Source) (address string, end func()) {
	t.Helper()
	return servingHandler(t, handler(src))
}

func servingHandler(t *testing.T, h http.Handler) (address string, end func()) {
	t.Helper()
	return servingWithin(t, usual, h)
}

func servingWithin(t *testing.T, within deadlines, h http.Handler) (address string, end func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serveAt(ctx, newGate(l, maxConns, maxConnsFrom), within, h) }()
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the page: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the page does not end with its context")
		}
	}
	t.Cleanup(end)
	return "http://" + l.Addr().String(), end
}

// A reader reads a stream of events.
type reader struct {
	t    *testing.T
	body io.ReadCloser
	scan *bufio.Scanner
}

func open(t *testing.T, ctx context.Context, url string) *reader {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("GET %s: got %s, %s", url, answer.Status, got)
	}
	out := &reader{t: t, body: answer.Body, scan: bufio.NewScanner(answer.Body)}
	out.scan.Buffer(nil, 1<<20)
	t.Cleanup(func() { answer.Body.Close() })
	return out
}

// next returns the parts of the next event; nil: the stream has ended.
func (r *reader) next() map[string]string {
	for r.scan.Scan() {
		data, ok := strings.CutPrefix(r.scan.Text(), "data: ")
		if !ok {
			continue
		}
		var parts []part
		if err := json.Unmarshal([]byte(data), &parts); err != nil {
			r.t.Error(err)
		}
		out := map[string]string{}
		for _, p := range parts {
			out[p.ID] = string(p.HTML)
		}
		return out
	}
	return nil
}

func names(parts map[string]string) []string {
	var out []string
	for name := range parts {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// TestEvents checks that a stream has all parts, then those that change.
func TestEvents(t *testing.T) {
	src := running(0.25)
	address, _ := serving(t, src)
	s := open(t, t.Context(), address+"/events")
	if got, want := names(s.next()), []string{"active", "history", "lost", "queue", "summary", "title", "workers"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	v := *src.View()
	v.Jobs = v.Jobs[:1]
	src.set(&v)
	if got, want := names(s.next()), []string{"history", "queue", "summary"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	src.set(runningView(0.5))
	if parts := s.next(); !strings.Contains(parts["title"], "50 %") || !strings.Contains(parts["active"], "polyline") {
		t.Errorf("got %v", parts)
	}
	src.end()
	if got := s.next(); got != nil {
		t.Errorf("got %v after the coordinator's end, want the stream's", got)
	}
}

// TestJobEvents checks that the stream of a job ends when that is removed.
func TestJobEvents(t *testing.T) {
	src := running(0.25)
	address, _ := serving(t, src)
	s := open(t, t.Context(), address+"/jobs/mnist-cnn-3fa1c0/events")
	if got, want := names(s.next()), []string{"account", "curve", "job", "log", "spec", "title"}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	src.set(emptyView())
	if got := s.next(); got != nil {
		t.Errorf("got %v after the job was removed, want the end", got)
	}
}

// TestStreamEnds checks that nothing is left of a stream whose reader went away,
// and nothing of a page that ended under its readers.
func TestStreamEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	src := running(0.25)
	address, end := serving(t, src)
	ctx, leave := context.WithCancel(t.Context())
	gone := open(t, ctx, address+"/events")
	gone.next()
	stays := open(t, t.Context(), address+"/events")
	stays.next()
	leave()
	for range 500 {
		if src.watching() == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := src.watching(); got != 1 {
		t.Errorf("got %d watches after a reader left, want 1", got)
	}
	end()
	if got := stays.next(); got != nil {
		t.Errorf("got %v after the end of the page", got)
	}
	if got := src.watching(); got != 0 {
		t.Errorf("got %d watches after the end of the page, want 0", got)
	}
	gone.body.Close()
	stays.body.Close()
	settled(t, before)
}

// TestManyStreams checks that strangers cannot have as many as they like.
func TestManyStreams(t *testing.T) {
	src := running(0.25)
	s := Handler(src, Options{})
	address, _ := servingHandler(t, s)
	for range maxStreams {
		open(t, t.Context(), address+"/events").next()
	}
	answer, err := http.Get(address + "/events")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("got %s, want 503 and Retry-After", answer.Status)
	}
	if w := get(t, s, "/"); w.Code != http.StatusOK {
		t.Errorf("the page itself: got %d, want 200", w.Code)
	}
}

// TestServe checks addresses that cannot be, and requests that are too large.
func TestServe(t *testing.T) {
	address, end := serving(t, running(0.25))
	err := Serve(t.Context(), strings.TrimPrefix(address, "http://"), http.NotFoundHandler())
	var op *net.OpError
	if !errors.As(err, &op) {
		t.Errorf("an address in use: got %v, want a *net.OpError", err)
	}
	r, err := http.NewRequest(http.MethodGet, address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Large", strings.Repeat("x", 2*maxHeader))
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a large header: got %s, want 431", answer.Status)
	}
	end()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Serve(ctx, "127.0.0.1:0", http.NotFoundHandler()); err != nil {
		t.Errorf("a context that has ended: got %v, want nil", err)
	}
}
