package rpc

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/disttest"
	"github.com/gespann/gespann/dist/rpc/lane"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/filelock"
)

// newPeers returns peers that are closed when the test ends.
func newPeers(t *testing.T, opt PeerOptions) *Peers {
	t.Helper()
	p, err := NewPeers(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(p.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: got %v, want that it is removed", p.dir, err)
		}
	})
	return p
}

// networks are ways to connect two workers, a and b: who dials needs to know b as
// a member.
var networks = map[string]func(t *testing.T) (a, b dist.Peers, member wire.Member){
	"memory": func(*testing.T) (dist.Peers, dist.Peers, wire.Member) {
		n := disttest.NewNetwork()
		return n.Peers("a"), n.Peers("b"), wire.Member{ID: "b"}
	},
	"unix": func(t *testing.T) (dist.Peers, dist.Peers, wire.Member) {
		a, b := newPeers(t, PeerOptions{}), newPeers(t, PeerOptions{})
		return a, b, wire.Member{ID: "b", Peer: b.Addresses(), Host: b.Host()}
	},
	"tcp": func(t *testing.T) (dist.Peers, dist.Peers, wire.Member) {
		return overTCP(t, PeerOptions{Coordinator: "127.0.0.1:1"})
	},
	"tls": func(t *testing.T) (dist.Peers, dist.Peers, wire.Member) {
		return overTCP(t, PeerOptions{Listen: "127.0.0.1:0", Trust: Trust{Certs: made(t, "a")}})
	},
}

func overTCP(t *testing.T, opt PeerOptions) (dist.Peers, dist.Peers, wire.Member) {
	a, b := newPeers(t, opt), newPeers(t, opt)
	return a, b, wire.Member{ID: "b", Peer: b.Addresses(), Host: "elsewhere"}
}

// eachLink runs a test for links of every network, in both directions.
func eachLink(t *testing.T, f func(t *testing.T, a, b dist.Link)) {
	for name, connect := range networks {
		for _, way := range []string{"there", "back"} {
			t.Run(name+" "+way, func(t *testing.T) {
				noLeak(t)
				a, b, member := connect(t)
				to, from := linked(t, a, b, member, 1)
				if way == "back" {
					to, from = from, to
				}
				f(t, to, from)
			})
		}
	}
}

// linked links a to b.
func linked(t *testing.T, a, b dist.Peers, member wire.Member, gen int) (atA, atB dist.Link) {
	t.Helper()
	atA, err := a.Dial(t.Context(), dist.Generation{Job: "j", Gen: gen, Self: "a"}, member)
	if err != nil {
		t.Fatal(err)
	}
	atB, err = b.Accept(t.Context(), dist.Generation{Job: "j", Gen: gen, Self: member.ID}, "a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		atA.Close()
		atB.Close()
	})
	return atA, atB
}

func noise(n, seed int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8*13 + seed)
	}
	return b
}

// TestLinkBytes sends pieces of one size and receives pieces of another.
func TestLinkBytes(t *testing.T) {
	all := noise(3_000_001, 1)
	eachLink(t, func(t *testing.T, a, b dist.Link) {
		go func() {
			rest := all
			for _, n := range []int{1, 0, 2, 100, minLent - 1, minLent, minLent + 1, chunk - 1, chunk, chunk + 1,
				chunk + minLent, 5*chunk + 77} {
				if err := a.Send(rest[:n]); err != nil {
					t.Error(err)
				}
				rest = rest[n:]
			}
			if err := a.Send(rest); err != nil {
				t.Error(err)
			}
		}()
		var got []byte
		for _, n := range []int{0, 3, 50, 7000, chunk, 2*chunk + 5} {
			got = append(got, make([]byte, n)...)
			if err := b.Recv(got[len(got)-n:]); err != nil {
				t.Fatal(err)
			}
		}
		rest := make([]byte, len(all)-len(got))
		if err := b.Recv(rest); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(append(got, rest...), all) {
			t.Error("got other bytes than were sent")
		}
	})
}

// TestLinkBothSend has both sides send before they receive.
func TestLinkBothSend(t *testing.T) {
	const n = lane.Room
	eachLink(t, func(t *testing.T, a, b dist.Link) {
		done := make(chan error, 2)
		for i, l := range []dist.Link{a, b} {
			go func() {
				got := make([]byte, n)
				err := errors.Join(l.Send(noise(n, i)), l.Recv(got))
				if err == nil && !bytes.Equal(got, noise(n, 1-i)) {
					err = errors.New("got other bytes than were sent")
				}
				done <- err
			}()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestLinkClose checks that Recv and Send end on both sides, whichever closes.
func TestLinkClose(t *testing.T) {
	eachLink(t, func(t *testing.T, a, b dist.Link) {
		ended := make(chan error, 2)
		for _, l := range []dist.Link{a, b} {
			go func() { ended <- l.Recv(make([]byte, 1)) }()
		}
		time.Sleep(time.Millisecond) // more often than not, they wait
		a.Close()
		a.Close()
		for range 2 {
			if err := <-ended; err == nil {
				t.Error("Recv returned nil, want an error")
			}
		}
		if err := a.Send(noise(100, 0)); err == nil {
			t.Error("Send of the closed side returned nil")
		}
	})
}

// TestLinkCloseFull closes a link to a side that does not receive: Send ends, and
// the memory is the caller's again.
func TestLinkCloseFull(t *testing.T) {
	for name, connect := range networks {
		if name == "memory" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			a, b, member := connect(t)
			to, _ := linked(t, a, b, member, 1)
			memory := noise(2*int(peerLimits.window), 0)
			ended := make(chan error, 1)
			go func() { ended <- to.Send(memory) }()
			select {
			case err := <-ended:
				t.Fatalf("Send returned %v, want that it waits", err)
			case <-time.After(100 * time.Millisecond):
			}
			to.Close()
			clear(memory) // the race detector watches
			if err := <-ended; err == nil {
				t.Error("Send returned nil, want an error")
			}
		})
	}
}

// TestGenerations checks that links find their generation, in any order, over one
// connection.
func TestGenerations(t *testing.T) {
	noLeak(t)
	a, b, member := networks["unix"](t)
	got := make(chan byte)
	for gen := range 3 {
		go func() {
			l, err := b.Accept(t.Context(), dist.Generation{Job: "j", Gen: gen, Self: "b"}, "a")
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
			one := []byte{99}
			if err := l.Recv(one); err != nil {
				t.Error(err)
			}
			if one[0] != byte(gen) {
				t.Errorf("generation %d: got %d", gen, one[0])
			}
			got <- one[0]
		}()
	}
	for _, gen := range []int{2, 0, 1} {
		l, err := a.Dial(t.Context(), dist.Generation{Job: "j", Gen: gen, Self: "a"}, member)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.Send([]byte{byte(gen)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		<-got
	}
	if n := len(a.(*Peers).channels); n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}
	if n := len(b.(*Peers).boxes); n > 1 { // the last may be about to go
		t.Errorf("got %d boxes, want none", n)
	}
}

// TestReconnect loses the connection between two links.
func TestReconnect(t *testing.T) {
	noLeak(t)
	a, b, member := networks["tcp"](t)
	linked(t, a, b, member, 1)
	for _, ch := range a.(*Peers).channels {
		ch.line.Close()
	}
	to, from := linked(t, a, b, member, 2)
	go to.Send([]byte("hello"))
	if err := from.Recv(make([]byte, 5)); err != nil {
		t.Error(err)
	}
}

// TestDialErrors checks the sentences, and that a unix socket of another machine
// is not used.
func TestDialErrors(t *testing.T) {
	noLeak(t)
	a, b := newPeers(t, PeerOptions{}), newPeers(t, PeerOptions{})
	gone := newPeers(t, PeerOptions{})
	gone.Close()
	for _, c := range []struct {
		name, want string
		to         wire.Member
	}{
		{"other machine", "no address that this worker can reach", wire.Member{ID: "b", Peer: b.Addresses(), Host: "other"}},
		{"nothing", "no address", wire.Member{ID: "b"}},
		{"gone", "no address", wire.Member{ID: "c", Peer: gone.Addresses(), Host: gone.Host()}},
		{"nobody", "worker d 127.0.0.1:1: nobody listens there", wire.Member{ID: "d", Peer: []string{"127.0.0.1:1"}}},
		{"off loopback", "there are no certificates", wire.Member{ID: "e", Peer: []string{"192.0.2.1:1"}}},
	} {
		_, err := a.Dial(t.Context(), dist.Generation{Job: "j", Gen: 1, Self: "a"}, c.to)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := b.Accept(ctx, dist.Generation{Job: "j", Gen: 1, Self: "b"}, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Accept without a link: got %v, want that the deadline is over", err)
	}
}

// TestLinkTwice checks that a link that is there already is refused, and that
// the first one works.
func TestLinkTwice(t *testing.T) {
	noLeak(t)
	a, b, member := networks["unix"](t)
	gen := dist.Generation{Job: "j", Gen: 1, Self: "a"}
	first, err := a.Dial(t.Context(), gen, member)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := a.Dial(t.Context(), gen, member); !errors.Is(err, ErrRefused) {
		t.Errorf("second link: got %v, want %v", err, ErrRefused)
	}
	at, err := b.Accept(t.Context(), dist.Generation{Job: "j", Gen: 1, Self: "b"}, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	go first.Send([]byte("x"))
	if err := at.Recv(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// TestSweep checks that only what killed processes have left goes.
func TestSweep(t *testing.T) {
	noLeak(t)
	base := t.TempDir()
	leave := func(name string, kill bool) string {
		dir := filepath.Join(base, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", filepath.Join(dir, socketName))
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(!kill)
		t.Cleanup(func() { l.Close() })
		if kill {
			l.Close()
		}
		return dir
	}
	dead, live, other := leave(socketPrefix+"1", true), leave(socketPrefix+"2", false), leave("other", true)
	held := leave(socketPrefix+"3", true) // its process has not come to listening yet
	lock, err := os.Open(held)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if free, err := filelock.Try(lock); !free || err != nil {
		t.Fatalf("lock: got %t, %v", free, err)
	}
	bare := filepath.Join(base, socketPrefix+"4") // killed before it listened
	if err := os.Mkdir(bare, 0o700); err != nil {
		t.Fatal(err)
	}
	sweep(base, time.Now().Add(-time.Hour))
	if _, err := os.Stat(dead); err != nil {
		t.Errorf("young: %v, want that it stays", err)
	}
	sweep(base, time.Now().Add(time.Hour))
	for _, dir := range []string{dead, bare} {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: is there, want that it goes", dir)
		}
	}
	for _, dir := range []string{live, other, held} {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("%v, want that it stays", err)
		}
	}
}

// TestHost checks that it is the same each time, and not empty.
func TestHost(t *testing.T) {
	if a, b := Host(), Host(); a != b || len(a) != 16 {
		t.Errorf("got %q and %q, want the same 16 characters", a, b)
	}
}
