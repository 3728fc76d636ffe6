package web

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// /healthz says whether a process moves: one that does not is to be started again. /readyz
// says whether it does what it is there for: one that does not may be mended by others,
// by a disk with room or a coordinator that comes back, and starting it again helps
// nobody.

// staleAfter is how old a View may be before the coordinator counts as stuck.
const staleAfter = 10 * time.Second

// answerHealth answers a question about health: why is what is wrong, or "".
func answerHealth(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if why != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, why)
		return
	}
	fmt.Fprintln(w, "ok")
}

// stuck returns why the coordinator does not move, or "".
func (s *site) stuck() string {
	if age := s.Elapsed() - s.src.View().Elapsed; age > staleAfter {
		return fmt.Sprintf("the coordinator has not moved for %.0f s", age.Seconds())
	}
	return ""
}

// unready returns why the coordinator takes no jobs, or "".
func (s *site) unready() string {
	if why := s.stuck(); why != "" {
		return why
	}
	return s.src.View().Warning
}

// maxAnswer bounds what of an answer about health is read, in bytes.
const maxAnswer = 4 << 10

// Ask asks the process at an address, host:port, one of /healthz and /readyz. It returns the
// answer, without the line feed, and whether it is good. An error is that there is none.
func Ask(ctx context.Context, address, path string) (answer string, good bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return "", false, err
	}
	direct := &http.Transport{DialContext: new(net.Dialer).DialContext, DisableKeepAlives: true} // no proxy
	got, err := (&http.Client{
		Transport:     direct,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).Do(r)
	if err != nil {
		return "", false, err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(io.LimitReader(got.Body, maxAnswer))
	if err != nil {
		return "", false, err
	}
	return strings.TrimRight(string(text), "\n"), got.StatusCode == http.StatusOK, nil
}
