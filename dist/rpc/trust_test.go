package rpc

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc/certs"
	"github.com/gespann/gespann/dist/wire"
)

// echo answers pings until the other side closes.
func echo(_ context.Context, c dist.Conn, _ dist.Principal) error {
	for {
		f, err := c.Recv()
		if err != nil {
			return err
		}
		if err := c.Send(f); err != nil {
			return err
		}
	}
}

// ping checks that a connection answers.
func ping(c dist.Conn) error {
	if err := c.Send(wire.Frame{Message: &wire.Ping{}}); err != nil {
		return err
	}
	_, err := c.Recv()
	return err
}

// otherToken returns certificates of the same CA with another token.
func otherToken(t *testing.T, name string) *certs.Certs {
	t.Helper()
	c := *made(t, name)
	c.Token = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return &c
}

// TestTrust dials with what one side has and the other lacks.
func TestTrust(t *testing.T) {
	a, b := made(t, "a"), made(t, "b")
	for _, c := range []struct {
		name         string
		server, with *certs.Certs
		want         string // "": they trust each other
		forever      bool   // trying again is of no use
	}{
		{"neither", nil, nil, "", false},
		{"both", a, a, "", false},
		{"other CA", a, b, "its certificate is of another CA", true},
		{"other token", a, otherToken(t, "a"), "refused the join token", true},
		{"no TLS here", a, nil, "closed the connection at once", false},
		{"no TLS there", nil, a, "it does not use certificates", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeak(t)
			address := start(t, Options{Listen: "127.0.0.1:0", Trust: Trust{Certs: c.server}}, Handler{Worker: echo})
			conn, err := Dial(t.Context(), address, Worker, Trust{Certs: c.with})
			if err == nil {
				defer conn.Close()
				err = ping(conn)
			}
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want == "":
				return
			case err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "coordinator "+address):
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			if errors.Is(err, ErrRefused) != c.forever {
				t.Errorf("%v: got ErrRefused %v, want %v", err, !c.forever, c.forever)
			}
		})
	}
}

// TestTrustShown shows a certificate of another CA: the server finds out.
func TestTrustShown(t *testing.T) {
	noLeak(t)
	a, b := made(t, "a"), made(t, "b")
	address := start(t, Options{Listen: "127.0.0.1:0", Trust: Trust{Certs: a}}, Handler{Worker: echo})
	mixed := &certs.Certs{Token: a.Token, CA: a.CA, Node: b.Node}
	_, err := Dial(t.Context(), address, Worker, Trust{Certs: mixed})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "refused our certificate") {
		t.Errorf("got %v, want that it refused our certificate", err)
	}
}

// TestOffLoopback checks that nothing listens or dials off this machine without
// certificates.
func TestOffLoopback(t *testing.T) {
	noLeak(t)
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:7077"} {
		_, err := Listen(Options{Listen: address})
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "hint: make certificates") {
			t.Errorf("Listen(%q): got %v, want that it is refused, with a hint", address, err)
		}
	}
	for _, address := range []string{"192.0.2.1:7077", "[2001:db8::1]:7077"} {
		_, err := Dial(t.Context(), address, Worker, Trust{})
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "hint: make certificates") {
			t.Errorf("Dial(%q): got %v, want that it is refused, with a hint", address, err)
		}
	}
	if _, err := NewPeers(PeerOptions{Listen: "192.0.2.1:0"}); !errors.Is(err, ErrRefused) {
		t.Errorf("NewPeers: got %v, want that it is refused", err)
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "127.8.9.1:0"} {
		s, err := Listen(Options{Listen: address})
		if err != nil {
			t.Errorf("Listen(%q): %v", address, err)
			continue
		}
		s.Close()
	}
	s, err := Listen(Options{Listen: "0.0.0.0:0", Trust: Trust{Insecure: true}})
	if err != nil {
		t.Fatalf("insecure: %v", err)
	}
	s.Close()
}

// TestAddresses checks what is said of addresses that are none, or in use.
func TestAddresses(t *testing.T) {
	noLeak(t)
	address := start(t, Options{Listen: "127.0.0.1:0"}, Handler{})
	at := socket(t)
	start(t, Options{Listen: at}, Handler{})
	open := t.TempDir()
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ address, want string }{
		{"", "want host:port or unix:/path"},
		{"localhost", "want host:port or unix:/path"},
		{"unix:", "got no path"},
		{"unix:/" + strings.Repeat("x", 200), "want at most 103"},
		{address, "address is in use"},
		{at, "address is in use"},
		{"unix:" + filepath.Join(open, "s"), "got mode 0755, want 0700"},
		{"unix:" + filepath.Join(open, "a", "b", "s"), "no such file"},
	} {
		if _, err := Listen(Options{Listen: c.address}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Listen(%q): got %v, want %q in it", c.address, err, c.want)
		}
	}
	for _, c := range []struct{ address, want string }{
		{"127.0.0.1:1", "nobody listens there"},
		{"unix:" + filepath.Join(open, "none"), "nobody listens there"},
		{"localhost", "want host:port or unix:/path"},
		{address, "refused the connection"}, // no handler for workers
	} {
		_, err := Dial(t.Context(), c.address, Worker, Trust{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Dial(%q): got %v, want %q in it", c.address, err, c.want)
		}
	}
}

// TestStaleSocket listens where a process that was killed has left its socket.
func TestStaleSocket(t *testing.T) {
	noLeak(t)
	address := socket(t)
	path := strings.TrimPrefix(address, "unix:")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	start(t, Options{Listen: address}, Handler{Worker: echo})
	c, err := Dial(t.Context(), address, Worker, Trust{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := ping(c); err != nil {
		t.Error(err)
	}
}

// TestHandlerError checks that the other side is told why a connection ended.
func TestHandlerError(t *testing.T) {
	noLeak(t)
	address := start(t, Options{Listen: socket(t)}, Handler{
		Worker: func(context.Context, dist.Conn, dist.Principal) error { return errors.New("no more workers, please") },
		Driver: func(context.Context, dist.Conn, dist.Principal) error { return nil },
	})
	w, err := Dial(t.Context(), address, Worker, Trust{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Recv(); err == nil || err.Error() != "coordinator "+address+": no more workers, please" {
		t.Errorf("got %v, want the handler's reason", err)
	}
	d, err := Dial(t.Context(), address, Driver, Trust{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF", err)
	}
}

// TestWrongMessages checks that a side that says what it may not say is cut off.
func TestWrongMessages(t *testing.T) {
	noLeak(t)
	ended := make(chan error, 1)
	address := start(t, Options{Listen: socket(t)}, Handler{Worker: func(ctx context.Context, c dist.Conn, who dist.Principal) error {
		err := echo(ctx, c, who)
		ended <- err
		return err
	}})
	w, err := Dial(t.Context(), address, Worker, Trust{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Send(wire.Frame{Message: &wire.Welcome{}}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "not one that this side may send") {
		t.Errorf("got %v, want that a worker may not say welcome", err)
	}
	if _, err := w.Recv(); err == nil || !strings.Contains(err.Error(), "not one that this side may send") {
		t.Errorf("got %v, want to be told why", err)
	}
}
