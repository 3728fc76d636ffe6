package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc/certs"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/clock"
	"github.com/gespann/gespann/internal/memlimit"
)

// crowded is how many strangers there are at a time in a flood.
const crowded = 600

// crowd is what those who do not belong do with a connection, which they open
// again as soon as it ends.
func crowd(own *certs.Certs) map[string]func(c net.Conn) {
	hello := append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}, noiseFrom(500)...)
	begin := append([]byte(preface), h2(frameSettings, 0, 0, nil)...)
	handshake := func(c net.Conn, b []byte) {
		if own == nil {
			c.Write(b)
			return
		}
		s := tls.Client(c, own.Client(dist.Coordinate))
		if s.Handshake() == nil {
			s.Write(b)
		}
	}
	all := map[string]func(c net.Conn){
		"silence":   func(net.Conn) {},
		"one byte":  func(c net.Conn) { c.Write([]byte("P")) },
		"TLS noise": func(c net.Conn) { c.Write(hello) },
		"slowly": func(c net.Conn) {
			for _, b := range []byte(preface) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		},
		"no stream": func(c net.Conn) { handshake(c, begin) },
		"no protocol": func(c net.Conn) {
			handshake(c, append(append([]byte{}, begin...), request(1)...))
		},
	}
	if own != nil {
		all["half a handshake"] = func(c net.Conn) {
			half := &cutOff{Conn: c}
			_ = tls.Client(half, own.Client(dist.Coordinate)).Handshake()
		}
		all["no certificate"] = func(c net.Conn) {
			_ = tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake()
		}
		all["wrong token"] = func(c net.Conn) {
			handshake(c, append(append([]byte{}, begin...), request(1, known, header(keyToken, "x"))...))
		}
	}
	return all
}

// computing are those that keep both sides busy.
var computing = map[string]bool{"half a handshake": true, "no stream": true, "no protocol": true, "no certificate": true, "wrong token": true}

// A cutOff connection sends the first message of a handshake, and then nothing.
type cutOff struct {
	net.Conn
	wrote bool
}

func (c *cutOff) Write(b []byte) (int, error) {
	if c.wrote {
		return 0, io.ErrClosedPipe
	}
	c.wrote = true
	return c.Conn.Write(b)
}

// flood lets strangers in until the test ends, and returns how many came so far.
func flood(t *testing.T, address string, n int, do func(c net.Conn)) *atomic.Int64 {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	came := &atomic.Int64{}
	for range n {
		all.Go(func() {
			for ctx.Err() == nil {
				c, err := net.DialTimeout("tcp", address, time.Second)
				if err != nil {
					continue
				}
				came.Add(1)
				stop := context.AfterFunc(ctx, func() { c.Close() })
				do(c)
				io.Copy(io.Discard, c)
				c.Close()
				stop()
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	return came
}

// TestFlood lets 600 strangers knock all the time: members get in, within two seconds
// every time, and those that are in are not disturbed.
func TestFlood(t *testing.T) {
	times := 5
	if testing.Short() {
		times = 2
	}
	for name, own := range map[string]*certs.Certs{"plain": nil, "TLS": made(t, "a")} {
		for kind, do := range crowd(own) {
			t.Run(name+"/"+kind, func(t *testing.T) {
				if testing.Short() && own != nil && computing[kind] {
					t.Skip("their handshakes take all processors for a while")
				}
				s, err := listenWithin(Options{Listen: "127.0.0.1:0", Trust: Trust{Certs: own}}, coordinatorLimits)
				if err != nil {
					t.Fatal(err)
				}
				serveUntilEnd(t, s, Handler{Worker: echo})
				member, err := Dial(t.Context(), s.Addr(), Worker, Trust{Certs: own})
				if err != nil {
					t.Fatal(err)
				}
				defer member.Close()
				came := flood(t, s.Addr(), crowded, do)
				for deadline := time.Now().Add(20 * time.Second); came.Load() < crowded; time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("only %d strangers came", came.Load())
					}
				}
				slowest, from := time.Duration(0), time.Now()
				for range times {
					began := time.Now()
					c, err := Dial(t.Context(), s.Addr(), Worker, Trust{Certs: own})
					for err != nil && strings.Contains(err.Error(), "no answer within") && time.Since(began) < time.Minute {
						c, err = Dial(t.Context(), s.Addr(), Worker, Trust{Certs: own}) // a slow machine: see below
					}
					if err == nil {
						err = ping(c)
					}
					took := time.Since(began)
					slowest = max(slowest, took)
					if err != nil {
						t.Fatalf("a member was kept out, after %v: %v", took, err)
					}
					c.Close()
					began = time.Now()
					if err := ping(member); err != nil {
						t.Fatalf("the member that is there: %v", err)
					}
					if took := time.Since(began); took > 2*time.Second {
						t.Errorf("the member that is there was answered after %v", took)
					}
				}
				// Where the machine is too slow for that: within its turn. Strangers compute
				// here, too.
				turn := time.Since(from) * crowded / time.Duration(came.Load()-crowded+1)
				if slowest > max(2*time.Second, 5*turn) {
					t.Errorf("a member got in after %v, want within 2 s; a turn is %v", slowest, turn)
				}
				t.Logf("%d strangers; the slowest of %d members was in after %v", came.Load(), times, slowest)
			})
		}
	}
}

// TestFull takes all places of members: another one is told so, and may try again.
func TestFull(t *testing.T) {
	noLeak(t)
	lim := coordinatorLimits
	lim.conns = 3
	s, err := listenWithin(Options{Listen: "127.0.0.1:0"}, lim)
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, s, Handler{Worker: echo})
	for range 3 {
		c, err := Dial(t.Context(), s.Addr(), Worker, Trust{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := ping(c); err != nil {
			t.Fatal(err)
		}
	}
	_, err = Dial(t.Context(), s.Addr(), Worker, Trust{})
	const want = "all 3 places for connections are taken; try again later"
	if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrRefused) {
		t.Errorf("got %v, want %q in it, and that it may try again", err, want)
	}
}

// TestFullOfSilence takes all places with streams that say nothing: they make room.
func TestFullOfSilence(t *testing.T) {
	noLeak(t)
	lim := coordinatorLimits
	lim.conns, lim.first = 3, 5*time.Second
	s, err := listenWithin(Options{Listen: "127.0.0.1:0"}, lim)
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, s, Handler{Worker: echo})
	var all []dist.Conn
	for range 3 {
		c, err := Dial(t.Context(), s.Addr(), Worker, Trust{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all = append(all, c)
	}
	if err := ping(all[0]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(lim.first/10 + 50*time.Millisecond)
	c, err := Dial(t.Context(), s.Addr(), Worker, Trust{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, c := range []dist.Conn{c, all[0]} {
		if err := ping(c); err != nil {
			t.Error(err)
		}
	}
}

// TestConnectionMemory refuses connections for which there is no memory.
func TestConnectionMemory(t *testing.T) {
	noLeak(t)
	memory := memlimit.NewBudget(4 * connMemory)
	s, err := listenWithin(Options{Listen: "127.0.0.1:0", Trust: Trust{Insecure: true}, Memory: memory}, coordinatorLimits)
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, s, Handler{Worker: echo})
	for range 3 {
		for range 2 {
			c, err := Dial(t.Context(), s.Addr(), Worker, Trust{Insecure: true})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		_, err = Dial(t.Context(), s.Addr(), Worker, Trust{Insecure: true})
		const want = "there is memory for 2 connections, and they are taken; try again later"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %v, want %q in it", err, want)
		}
		s.listener.killAll()
		for deadline := time.Now().Add(10 * time.Second); memory.Held() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d bytes are held for nobody", memory.Held())
			}
		}
	}
}

// TestFramesWait sends frames for which there is no memory: they wait until there is,
// and count as heard meanwhile; what never fits ends the connection, with numbers.
func TestFramesWait(t *testing.T) {
	noLeak(t)
	const total = 10 << 20
	memory := memlimit.NewBudget(total)
	a, b := pair(t, Options{Listen: socket(t), Memory: memory})
	b.Allow(1 << 30)
	if err := memory.Try(6<<20, "another"); err != nil {
		t.Fatal(err)
	}
	got := make(chan wire.Frame, 1)
	go func() {
		if f, err := b.Recv(); err == nil {
			got <- f
		}
	}()
	go a.Send(wire.Frame{Message: &wire.Ping{}, Floats: ramp(1 << 20)})
	began := clock.System{}.Elapsed()
	time.Sleep(time.Second)
	select {
	case <-got:
		t.Fatal("it did not wait")
	default:
	}
	if at := b.(dist.Hearing).Heard(); at < began+500*time.Millisecond {
		t.Errorf("it was heard %v after it began to wait, a second ago", at-began)
	}
	memory.Give(6 << 20)
	f := <-got
	if held := memory.Held(); held < 4<<20 || f.Done == nil {
		t.Errorf("%d bytes are held for a frame of 4 MiB", held)
	}
	before := memory.Held()
	f.Done()
	if left := before - memory.Held(); left != 4<<20 {
		t.Errorf("%d bytes were given back, want 4 MiB", left)
	}
	go a.Send(wire.Frame{Message: &wire.Ping{}, Floats: ramp(3 << 20)})
	_, err := b.Recv()
	if err == nil || !strings.Contains(err.Error(), "out of memory: ping takes 12.0 MiB, and ") ||
		!strings.Contains(err.Error(), " of 10.0 MiB are left") {
		t.Errorf("got %v", err)
	}
}

// TestStalledFrame begins a long frame and sends nothing more: what was taken for it is
// given back.
func TestStalledFrame(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for ten seconds")
	}
	noLeak(t)
	memory := memlimit.NewBudget(64 << 20)
	s, err := listenWithin(Options{Listen: "127.0.0.1:0", Trust: Trust{Insecure: true}, Memory: memory}, coordinatorLimits)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	serveUntilEnd(t, s, Handler{Worker: func(_ context.Context, c dist.Conn, _ dist.Principal) error {
		c.Allow(1 << 30)
		_, err := c.Recv()
		ended <- err
		return err
	}})
	// Its pings are answered, so it is not cut off.
	raw, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	head, err := wire.AppendHead(nil, wire.Frame{Message: &wire.Ping{}, Floats: make([]float32, 8<<20)})
	if err != nil {
		t.Fatal(err)
	}
	begin := append([]byte(preface), h2(frameSettings, 0, 0, nil)...)
	begin = append(begin, request(1, known)...)
	begin = append(begin, h2(frameData, 0, 1, message(uint32(len(head)), head))...)
	if _, err := raw.Write(begin); err != nil {
		t.Fatal(err)
	}
	go answerPings(raw)
	for deadline := time.Now().Add(5 * time.Second); memory.Held() < 32<<20; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are held, want 32 MiB", memory.Held())
		}
	}
	began := time.Now()
	if err := <-ended; err == nil {
		t.Error("got a frame")
	}
	if took := time.Since(began); took < stallTime/2 || took > stallTime+5*time.Second {
		t.Errorf("it ended after %v, want %v", took, stallTime)
	}
	for deadline := time.Now().Add(10 * time.Second); memory.Held() > 2*connMemory; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are held for nobody", memory.Held())
		}
	}
}

// answerPings answers those of HTTP/2 until the connection ends.
func answerPings(c net.Conn) {
	head := make([]byte, 9)
	for {
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		body := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		if head[3] == framePing && head[4]&1 == 0 {
			c.Write(h2(framePing, 1, 0, body))
		}
	}
}
