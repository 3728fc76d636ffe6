package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// flood opens n connections to a page, writes text to each, and leaves them open.
func flood(t *testing.T, address string, n int, text string) []net.Conn {
	t.Helper()
	var all []net.Conn
	for range n {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(address, "http://"), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// request asks for a path on a connection of its own, and returns the status.
func request(t *testing.T, address, path string) int {
	t.Helper()
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(address + path)
	if err != nil {
		t.Errorf("GET %s: %v", path, err)
		return 0
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Errorf("GET %s: %v", path, err)
	}
	return answer.StatusCode
}

// get1 is a request of the kind that a browser sends.
func get1(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n" }

// unhurried is a page that closes nothing by itself, so that who gets a place was given
// it, and did not wait for others to be gone.
var unhurried = deadlines{header: time.Hour, read: time.Hour, write: time.Hour, idle: time.Hour}

// heard asks how a coordinator is, and wants an answer.
func heard(t *testing.T, address string) {
	t.Helper()
	for _, path := range []string{"/healthz", "/", "/metrics"} {
		if code := request(t, address, path); code != http.StatusOK {
			t.Errorf("GET %s: got %d, want 200", path, code)
		}
	}
}

// TestFloods asks how a coordinator is while strangers hold more connections than
// there are, of each kind that lasts.
func TestFloods(t *testing.T) {
	if testing.Short() { // and with the race detector
		t.Skip("takes seconds")
	}
	before := runtime.NumGoroutine()
	address, end := servingWithin(t, unhurried, handler(running(0.25)))
	kinds := []struct{ name, text string }{
		{"streams", get1("/events")},
		{"idle", get1("/healthz")},
		{"half", "GET / HTTP/1.1\r\nHost: localhost\r\n"},
		{"silent", ""},
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			flood(t, address, 300, k.text)
			heard(t, address)
		})
	}
	t.Run("all", func(t *testing.T) {
		for _, k := range kinds {
			flood(t, address, 300, k.text)
		}
		heard(t, address)
	})
	end()
	settled(t, before)
}

// TestDeaf is TestFloods for those who do not read their answers, which no socket
// has room for.
func TestDeaf(t *testing.T) {
	if testing.Short() { // and with the race detector
		t.Skip("takes seconds")
	}
	src := newFake(runningView(0.25))
	id := src.view.Jobs[0].ID
	src.specs[id] = strings.Repeat("&", 2<<20)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serveAt(ctx, newGate(l, 8, 8), unhurried, handler(src)) }()
	address := "http://" + l.Addr().String()
	flood(t, address, 16, get1("/api/v1/jobs/"+id))
	heard(t, address)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

// TestStreamsStay checks that connections which only wait go before a page that
// someone looks at.
func TestStreamsStay(t *testing.T) {
	src := running(0.25)
	address, _ := serving(t, src)
	s := open(t, t.Context(), address+"/events")
	s.next()
	flood(t, address, 2*maxConns, "")
	flood(t, address, 2*maxConns, get1("/healthz"))
	if code := request(t, address, "/healthz"); code != http.StatusOK {
		t.Errorf("got %d, want 200", code)
	}
	src.set(runningView(0.5))
	if parts := s.next(); !strings.Contains(parts["title"], "50 %") {
		t.Errorf("got %v on a stream that was open before, want what changed", parts)
	}
}

// TestIdleMakesRoom checks that of idle connections the oldest is closed, and an
// answer under way is never cut for a new connection.
func TestIdleMakesRoom(t *testing.T) {
	address, _ := serving(t, running(0.25))
	question := get1("/healthz")
	all := flood(t, address, maxConns, question)
	for i, c := range all {
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			t.Fatalf("connection %d of %d: %v", i, maxConns, err)
		}
	}
	flood(t, address, 1, question)
	closed := make(chan int, len(all))
	var reading sync.WaitGroup
	for i, c := range all { // which of them was idle first, the server knows
		reading.Go(func() {
			c.SetReadDeadline(time.Now().Add(2 * time.Second))
			if _, err := io.Copy(io.Discard, c); err == nil {
				closed <- i
			}
		})
	}
	reading.Wait()
	if len(closed) != 1 {
		t.Fatalf("%d of %d connections were closed for one more, want 1", len(closed), len(all))
	}
	c := all[(<-closed+1)%len(all)]
	if _, err := fmt.Fprint(c, question); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if text, err := io.ReadAll(io.LimitReader(c, 20)); err != nil || len(text) != 20 {
		t.Errorf("the next one: got %q, %v, want an answer", text, err)
	}
}

// An elsewhere is a listener on loopback whose connections from 127.0.0.N come from
// another machine, 192.0.2.N.
type elsewhere struct{ net.Listener }

func (e elsewhere) Accept() (net.Conn, error) {
	c, err := e.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return fromElsewhere{c}, nil
}

type fromElsewhere struct{ net.Conn }

func (c fromElsewhere) RemoteAddr() net.Addr {
	at := *c.Conn.RemoteAddr().(*net.TCPAddr)
	at.IP = net.IPv4(192, 0, 2, at.IP.To4()[3])
	return &at
}

// TestOneAddress checks that one machine has neither all connections nor all
// streams, and that what it takes is not taken from others.
func TestOneAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	g := newGate(elsewhere{l}, maxConns, maxConnsFrom)
	go func() { done <- serveAt(ctx, g, usual, handler(running(0.25))) }()
	from := func(last byte, path string) (net.Conn, string) {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}, Timeout: 5 * time.Second}
		c, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.WriteString(c, get1(path)); err != nil {
			t.Fatal(err)
		}
		status, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return c, strings.TrimSpace(status)
	}
	const ok, full = "HTTP/1.1 200 OK", "HTTP/1.1 503 Service Unavailable"
	quiet, status := from(3, "/healthz")
	if status != ok {
		t.Fatalf("got %s, want %s", status, ok)
	}
	for i := range maxStreamsFrom + 1 {
		want := ok
		if i == maxStreamsFrom {
			want = full
		}
		if _, status := from(2, "/events"); status != want {
			t.Errorf("stream %d of one machine: got %s, want %s", i+1, status, want)
		}
	}
	if _, status := from(3, "/events"); status != ok {
		t.Errorf("a stream of another machine: got %s, want %s", status, ok)
	}
	for range 2 * maxConnsFrom {
		from(2, "/healthz")
	}
	g.mu.Lock()
	got := g.from[peerOf("192.0.2.2:1")]
	g.mu.Unlock()
	if got != maxConnsFrom {
		t.Errorf("got %d connections of one machine, want %d", got, maxConnsFrom)
	}
	if _, err := io.WriteString(quiet, get1("/healthz")); err != nil {
		t.Error(err)
	}
	if status, err := bufio.NewReader(quiet).ReadString('\n'); err != nil || strings.TrimSpace(status) != ok {
		t.Errorf("an idle connection of another machine: got %q, %v, want %s", status, err, ok)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

// TestPeers checks who counts as one.
func TestPeers(t *testing.T) {
	for _, c := range []struct{ remote, want string }{
		{"192.0.2.7:80", "192.0.2.7/32"},
		{"[::ffff:192.0.2.7]:80", "192.0.2.7/32"},
		{"[2001:db8:1:2:3:4:5:6]:80", "2001:db8:1:2::/64"},
		{"[fe80::1%eth0]:80", "fe80::/64"},
		{"127.0.0.1:80", thisMachine.String()},
		{"127.9.9.9:80", thisMachine.String()},
		{"[::1]:80", thisMachine.String()},
		{"[::ffff:127.0.0.1]:80", thisMachine.String()},
		{"@", thisMachine.String()},
		{"", thisMachine.String()},
	} {
		if got := peerOf(c.remote).String(); got != c.want {
			t.Errorf("peerOf(%q) = %s, want %s", c.remote, got, c.want)
		}
	}
}
