package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Pace of a stream of events.
const (
	pause    = 500 * time.Millisecond // least time between two changes
	alive    = 10 * time.Second       // most time without a word
	patience = 10 * time.Second       // for a reader that does not read
	again    = 2 * time.Second        // until a reader whose stream broke comes back
)

// Bounds of the pages that are kept up to date at a time; others ask again by
// themselves.
const (
	maxStreams     = 100
	maxStreamsFrom = 25 // of one address that is not this machine
)

// streams counts the streams of events by who reads them.
type streams struct {
	mu   sync.Mutex
	all  int
	from map[netip.Prefix]int
}

// take takes a place; false: there is none.
func (s *streams) take(peer netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxStreams || peer != thisMachine && s.from[peer] >= maxStreamsFrom {
		return false
	}
	if s.from == nil {
		s.from = map[netip.Prefix]int{}
	}
	s.all++
	s.from[peer]++
	return true
}

// give gives a place back.
func (s *streams) give(peer netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.from[peer]--; s.from[peer] == 0 {
		delete(s.from, peer)
	}
}

func (s *site) followOverview(w http.ResponseWriter, r *http.Request) {
	s.follow(w, r, func() (page, bool, error) {
		p, err := s.overviewPage(r.Host)
		return p, true, err
	})
}

func (s *site) followJob(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if s.src.View().Job(id) == nil {
		s.nothing(w, r)
		return
	}
	s.follow(w, r, func() (page, bool, error) { return s.jobPage(id, r.Host) })
}

// follow sends the parts of a page as server-sent events: all of them, then those
// that change, until the reader leaves, the coordinator ends, or show returns
// false.
func (s *site) follow(w http.ResponseWriter, r *http.Request, show func() (page, bool, error)) {
	peer := peerOf(r.RemoteAddr)
	if !s.streams.take(peer) {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer s.streams.give(peer)
	lasts(r.Context())
	changes, stop := s.src.Watch()
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	out := stream{w: w, rc: http.NewResponseController(w), sent: map[string]string{}}
	out.rc.SetReadDeadline(time.Time{}) // the request has been read; not every writer has one
	if _, err := fmt.Fprintf(w, "retry: %d\n\n", again.Milliseconds()); err != nil {
		return
	}
	for {
		p, ok, err := show()
		if err != nil {
			s.Log.Error("the page cannot be made", "err", err)
		}
		if err != nil || !ok || out.send(p) != nil {
			return
		}
		if !next(r.Context(), changes) {
			return
		}
	}
}

// next waits for a change, or for a while; false: there will be none.
func next(ctx context.Context, changes <-chan struct{}) bool {
	quiet := time.NewTimer(alive)
	defer quiet.Stop()
	rest := time.NewTimer(pause)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
		return false
	}
	select {
	case _, ok := <-changes:
		return ok
	case <-quiet.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// A stream remembers what its reader has.
type stream struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	sent map[string]string
}

// send sends the parts that changed, or a comment when none did.
func (s *stream) send(p page) error {
	var changed []part
	for _, one := range p.Parts {
		if s.sent[one.ID] != string(one.HTML) {
			s.sent[one.ID] = string(one.HTML)
			changed = append(changed, one)
		}
	}
	s.rc.SetWriteDeadline(time.Now().Add(patience)) // where the writer has one
	text := []byte(":\n\n")
	if len(changed) > 0 {
		data, err := json.Marshal(changed)
		if err != nil {
			return err
		}
		text = append(append([]byte("data: "), data...), "\n\n"...)
	}
	if _, err := s.w.Write(text); err != nil {
		return err
	}
	return s.rc.Flush()
}
