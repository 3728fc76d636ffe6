package rpc

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/disttest"
	"github.com/gespann/gespann/dist/rpc/certs"
	"github.com/gespann/gespann/dist/wire"
)

// noLeak fails a test that leaves goroutines behind.
func noLeak(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		deadline := time.Now().Add(5 * time.Second)
		for runtime.NumGoroutine() > before {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines, want %d as before:\n%s", runtime.NumGoroutine(), before,
					stacks[:runtime.Stack(stacks, true)])
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}

// start serves until the test ends, and returns the address.
func start(t *testing.T, opt Options, h Handler) string {
	t.Helper()
	s, err := Listen(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	if strings.HasPrefix(opt.Listen, "unix:") {
		return s.Addr()
	}
	_, port, _ := strings.Cut(s.Addr(), ":")
	return "127.0.0.1:" + port
}

// socket returns an address in a directory that only its owner reaches.
func socket(t *testing.T) string {
	return "unix:" + filepath.Join(t.TempDir(), "s", "c.sock")
}

// carriers are ways to get the two ends of a connection.
var carriers = map[string]func(t *testing.T) (a, b dist.Conn){
	"memory": func(*testing.T) (dist.Conn, dist.Conn) {
		a, b := disttest.Pipe("a", "b")
		return a, b
	},
	"unix": func(t *testing.T) (dist.Conn, dist.Conn) { return pair(t, Options{Listen: socket(t)}) },
	"tcp":  func(t *testing.T) (dist.Conn, dist.Conn) { return pair(t, Options{Listen: "127.0.0.1:0"}) },
	"tls": func(t *testing.T) (dist.Conn, dist.Conn) {
		return pair(t, Options{Listen: "127.0.0.1:0", Trust: Trust{Certs: made(t, "a")}})
	},
}

var madeOnce sync.Map

// made returns certificates for this machine; equal names, equal CAs.
func made(t *testing.T, name string) *certs.Certs {
	t.Helper()
	if c, ok := madeOnce.Load(name); ok {
		return c.(*certs.Certs)
	}
	dir := filepath.Join(t.TempDir(), "certs")
	if err := certs.Make(dir, nil); err != nil {
		t.Fatal(err)
	}
	c, err := certs.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	madeOnce.Store(name, c)
	return c
}

// pair returns the two ends of a connection: of who dials, and of who serves.
func pair(t *testing.T, opt Options) (a, b dist.Conn) {
	t.Helper()
	came := make(chan dist.Conn, 1)
	address := start(t, opt, Handler{Worker: func(ctx context.Context, c dist.Conn, _ dist.Principal) error {
		came <- c
		<-ctx.Done() // Close, or the other side
		return nil
	}})
	a, err := Dial(t.Context(), address, Worker, opt.Trust)
	if err != nil {
		t.Fatal(err)
	}
	b = <-came
	t.Cleanup(func() {
		b.Close()
		a.Close()
	})
	return a, b
}

// each runs a test for every carrier, in both directions.
func each(t *testing.T, f func(t *testing.T, a, b dist.Conn)) {
	for name, connect := range carriers {
		for _, way := range []string{"there", "back"} {
			t.Run(name+" "+way, func(t *testing.T) {
				noLeak(t)
				a, b := connect(t)
				if way == "back" {
					a, b = b, a
				}
				f(t, a, b)
			})
		}
	}
}

func ramp(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i % 8191)
	}
	return v
}

// TestOrder sends frames of every size, and checks that they come in order and
// with their content.
func TestOrder(t *testing.T) {
	var frames []wire.Frame
	for _, n := range []int{0, 1, 3, inline/4 - 1, inline / 4, inline/4 + 1, chunk / 4, chunk/4 + 255,
		chunk/4 + 257, 3 * chunk / 4, 669706} {
		frames = append(frames, wire.Frame{Message: &wire.Dismiss{Reason: "j"}, Floats: ramp(n)},
			wire.Frame{Message: &wire.Ping{}},
			wire.Frame{Message: &wire.Close{Job: "j"}, Bytes: wire.AsBytes(ramp(n))})
	}
	each(t, func(t *testing.T, a, b dist.Conn) {
		b.Allow(4 << 20)
		sent := make(chan error, 1)
		go func() {
			for _, f := range frames {
				if err := a.Send(f); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for i, want := range frames {
			got, err := b.Recv()
			if err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
			if got.Kind() != want.Kind() || !slices.Equal(got.Bytes, want.Bytes) ||
				!slices.Equal(wire.AsBytes(got.Floats), wire.AsBytes(want.Floats)) {
				t.Fatalf("frame %d: got %s with %d floats and %d bytes, want %s with %d and %d, or other content", i,
					got.Kind(), len(got.Floats), len(got.Bytes), want.Kind(), len(want.Floats), len(want.Bytes))
			}
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	})
}

// TestReuse changes the memory of a frame as soon as Send has returned.
func TestReuse(t *testing.T) {
	each(t, func(t *testing.T, a, b dist.Conn) {
		b.Allow(8 << 20)
		const rounds, n = 5, 1 << 20
		sent := make(chan error, 1)
		go func() {
			v := make([]float32, n)
			for round := range rounds {
				for i := range v {
					v[i] = float32(round)
				}
				if err := a.Send(wire.Frame{Message: &wire.Dismiss{}, Floats: v}); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for round := range rounds {
			f, err := b.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if i := slices.IndexFunc(f.Floats, func(v float32) bool { return int(v) != round }); i >= 0 {
				t.Fatalf("round %d: floats[%d] = %v", round, i, f.Floats[i])
			}
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	})
}

// TestConcurrent sends from several goroutines: no frame is torn, and those of
// one goroutine come in order.
func TestConcurrent(t *testing.T) {
	each(t, func(t *testing.T, a, b dist.Conn) {
		b.Allow(4 << 20)
		const senders, rounds = 4, 10
		for s := range senders {
			go func() {
				for r := range rounds {
					n := []int{0, 100, 200_000}[r%3]
					v := make([]float32, n)
					for i := range v {
						v[i] = float32(s)
					}
					if err := a.Send(wire.Frame{Message: &wire.Beat{Done: int64(s*rounds + r)}, Floats: v}); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		next := [senders]int{}
		for range senders * rounds {
			f, err := b.Recv()
			if err != nil {
				t.Fatal(err)
			}
			done := int(f.Message.(*wire.Beat).Done)
			s, r := done/rounds, done%rounds
			if r != next[s] {
				t.Fatalf("sender %d: got frame %d, want %d", s, r, next[s])
			}
			next[s]++
			for _, v := range f.Floats {
				if int(v) != s {
					t.Fatalf("sender %d: got a float of %v", s, v)
				}
			}
		}
	})
}

// TestAllow checks that frames are refused until they are allowed, and end the
// connection.
func TestAllow(t *testing.T) {
	each(t, func(t *testing.T, a, b dist.Conn) {
		b.Allow(400)
		if err := a.Send(wire.Frame{Message: &wire.Dismiss{}, Floats: ramp(100)}); err != nil {
			t.Fatal(err)
		}
		if f, err := b.Recv(); err != nil || len(f.Floats) != 100 {
			t.Fatalf("got %d floats, %v, want 100", len(f.Floats), err)
		}
		go a.Send(wire.Frame{Message: &wire.Dismiss{}, Floats: ramp(1 << 20)})
		if _, err := b.Recv(); err == nil || !strings.Contains(err.Error(), "larger than allowed") {
			t.Fatalf("got %v, want that the frame is larger than allowed", err)
		}
		if _, err := a.Recv(); err == nil {
			t.Fatal("the connection lasts, want an end")
		}
	})
}

// TestClose checks that what was sent before arrives, and that both sides see the
// end.
func TestClose(t *testing.T) {
	each(t, func(t *testing.T, a, b dist.Conn) {
		b.Allow(1 << 20)
		for range 3 {
			if err := a.Send(wire.Frame{Message: &wire.Dismiss{Reason: "bye"}, Floats: ramp(1000)}); err != nil {
				t.Fatal(err)
			}
		}
		waiting := make(chan error, 1)
		go func() {
			_, err := a.Recv()
			waiting <- err
		}()
		closed := make(chan bool)
		go func() {
			a.Close()
			a.Close()
			close(closed)
		}()
		for i := range 3 {
			if f, err := b.Recv(); err != nil || f.Kind() != "dismiss" {
				t.Fatalf("frame %d: got %v, want what was sent before Close", i, err)
			}
		}
		if _, err := b.Recv(); !errors.Is(err, io.EOF) {
			t.Fatalf("got %v, want EOF", err)
		}
		b.Close()
		<-closed
		if err := <-waiting; err == nil {
			t.Error("Recv of the closed side returned a frame")
		}
		if err := a.Send(wire.Frame{Message: &wire.Ping{}}); err == nil {
			t.Error("Send of the closed side returned nil")
		}
	})
}
