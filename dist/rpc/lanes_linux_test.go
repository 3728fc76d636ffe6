package rpc

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// TestLaneWhere checks that links have lanes exactly where both sides are on one
// machine and reach each other over a unix socket.
func TestLaneWhere(t *testing.T) {
	eachLink(t, func(t *testing.T, a, b dist.Link) {
		ka, ok := a.(*link)
		if !ok {
			return // in memory
		}
		kb := b.(*link)
		if want := strings.Contains(t.Name(), "unix"); ka.Copies() != want || kb.Copies() != want {
			t.Errorf("copies: got %v and %v, want %v", ka.Copies(), kb.Copies(), want)
		}
	})
}

// TestLaneRefused offers a lane that cannot be opened: all goes over the stream.
func TestLaneRefused(t *testing.T) {
	noLeak(t)
	b := newPeers(t, PeerOptions{})
	ch, err := dialChannel(t.Context(), b.Addresses()[0], Trust{}, "worker b", dist.Work, peerLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer ch.close()
	for gen, offer := range []string{"999999", "-1", "none", ""} {
		s, header, cancel, err := ch.stream(t.Context(), peerRole, metadata.Pairs(keyLane, offer,
			keyJob, "j", keyGen, string(rune('0'+gen)), keyFrom, "a", keyTo, "b",
			keyMember, member(dist.Generation{Job: "j", Gen: gen}, "a", "b")))
		if err != nil {
			t.Fatal(err)
		}
		if got := one(header, keyLane); got != "" {
			t.Errorf("offer of %q: got %q, want no answer", offer, got)
		}
		to := newLink(s, ch.line, nil, "worker b")
		to.finish = cancel
		from, err := b.Accept(t.Context(), dist.Generation{Job: "j", Gen: gen, Self: "b"}, "a")
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 5)
		if err := errors.Join(to.Send([]byte("hello")), from.Recv(got)); err != nil || string(got) != "hello" {
			t.Errorf("offer of %q: got %q, %v", offer, got, err)
		}
		to.Close()
		from.Close()
	}
}

// TestLaneEnds ends the connection beside a lane, as the kernel does when a process
// dies: who waits on the lane returns.
func TestLaneEnds(t *testing.T) {
	for _, side := range []string{"who dialled", "who accepted"} {
		noLeak(t)
		a, b, member := networks["unix"](t)
		to, from := linked(t, a, b, member, 1)
		waits, ends := to.(*link), from.(*link)
		if side == "who accepted" {
			waits, ends = ends, waits
		}
		done := make(chan error, 1)
		go func() { done <- waits.Recv(make([]byte, 1)) }()
		time.Sleep(time.Millisecond) // more often than not, it waits
		ends.line.Conn.Close()
		if err := <-done; err == nil {
			t.Errorf("%s: Recv returned nil, want an error", side)
		}
		to.Close()
		from.Close()
	}
}

// TestLaneFrames sends long frames both ways over a coordinator's unix socket, the last
// just before the connection is closed.
func TestLaneFrames(t *testing.T) {
	noLeak(t)
	server, err := Listen(Options{Listen: "unix:" + t.TempDir() + "/private/c.sock"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const n = 3 << 20
	got := make(chan []float32, 2)
	served := make(chan error, 1)
	go func() {
		served <- server.Serve(ctx, Handler{Worker: func(_ context.Context, c dist.Conn, _ dist.Principal) error {
			if c.(*conn).lane == nil {
				return errors.New("there is no lane")
			}
			c.Allow(4 * n)
			for range 2 {
				f, err := c.Recv()
				if err != nil {
					return err
				}
				got <- f.Floats
			}
			return nil
		}})
	}()
	c, err := Dial(t.Context(), server.Addr(), Worker, Trust{})
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float32, n)
	for i := range want {
		want[i] = float32(i)
	}
	for range 2 {
		if err := c.Send(wire.Frame{Message: &wire.State{}, Floats: want}); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	for range 2 {
		floats := <-got
		for i := range want {
			if floats[i] != want[i] {
				t.Fatalf("[%d] is %v, want %v", i, floats[i], want[i])
			}
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
