package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// What a stranger sends is written by hand here: frames of HTTP/2, RFC 9113, whose
// headers are literals that are not indexed, RFC 7541 section 6.2.2.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const (
	frameData     = 0
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
	framePing     = 6
	frameMore     = 9 // continuation

	flagEndHeaders = 4
)

func h2(kind, flags byte, stream uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))[1:]
	b = append(b, kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

func header(name, value string) []byte {
	b := append([]byte{0, byte(len(name))}, name...)
	b = append(b, byte(len(value)))
	return append(b, value...)
}

// request begins a stream as a worker.
func request(stream uint32, more ...[]byte) []byte {
	block := bytes.Join(append([][]byte{header(":method", "POST"), header(":scheme", "http"),
		header(":path", "/"+service+"/Worker"), header(":authority", "gespann"),
		header("content-type", "application/grpc+gespann"), header("te", "trailers")}, more...), nil)
	return h2(frameHeaders, flagEndHeaders, stream, block)
}

var known = header(keyProtocol, strconv.Itoa(wire.Protocol))

// message is a gRPC message that says it is n bytes long.
func message(n uint32, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, n), b...)
}

func noiseFrom(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func repeat(n int, f func(i int) []byte) []byte {
	var b []byte
	for i := range n {
		b = append(b, f(i)...)
	}
	return b
}

// attacks are what strangers send. After it they wait until they are cut off.
func attacks() map[string][]byte {
	begin := append([]byte(preface), h2(frameSettings, 0, 0, nil)...)
	stream := append(bytes.Clone(begin), request(1, known)...)
	huge := append(h2(frameData, 0, 1, nil)[:9], 1)
	huge[0], huge[1], huge[2] = 0xff, 0xff, 0xff
	text := append([]byte{1, 0, 0, 0}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)
	return map[string][]byte{
		"nothing":       nil,
		"one byte":      []byte("P"),
		"noise":         noiseFrom(1 << 16),
		"HTTP/1":        []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"TLS":           append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}, noiseFrom(500)...),
		"preface":       []byte(preface),
		"no stream":     begin,
		"noise after":   append(bytes.Clone(begin), noiseFrom(1<<16)...),
		"huge frame":    append(bytes.Clone(stream), huge...),
		"pings":         append(bytes.Clone(begin), repeat(10000, func(int) []byte { return h2(framePing, 0, 0, make([]byte, 8)) })...),
		"settings":      append(bytes.Clone(begin), repeat(10000, func(int) []byte { return h2(frameSettings, 0, 0, nil) })...),
		"large headers": append(bytes.Clone(begin), request(1, known, repeat(200, func(int) []byte { return header("x", strings.Repeat("y", 120)) }))...),
		"endless headers": append(append(bytes.Clone(begin), h2(frameHeaders, 0, 1, header(":method", "POST"))...),
			repeat(1000, func(int) []byte { return h2(frameMore, 0, 1, bytes.Repeat(header("x", strings.Repeat("y", 120)), 100)) })...),
		"no protocol":    append(bytes.Clone(begin), request(1)...),
		"other protocol": append(bytes.Clone(begin), request(1, header(keyProtocol, "999"))...),
		"many refused":   append(bytes.Clone(begin), repeat(5000, func(i int) []byte { return request(uint32(2*i + 1)) })...),
		"many streams":   append(bytes.Clone(begin), repeat(5000, func(i int) []byte { return request(uint32(2*i+1), known) })...),
		"rapid reset": append(bytes.Clone(begin), repeat(5000, func(i int) []byte {
			return append(request(uint32(2*i+1), known), h2(frameReset, 0, uint32(2*i+1), []byte{0, 0, 0, 8})...)
		})...),
		"silent stream":   stream,
		"huge message":    append(bytes.Clone(stream), h2(frameData, 0, 1, message(1<<31, nil))...),
		"half a message":  append(bytes.Clone(stream), h2(frameData, 0, 1, message(1<<20, []byte("x")))...),
		"compressed":      append(bytes.Clone(stream), h2(frameData, 0, 1, []byte{1, 0, 0, 0, 1, 0})...),
		"no frame":        append(bytes.Clone(stream), h2(frameData, 0, 1, message(4, []byte("abcd")))...),
		"impossible":      append(bytes.Clone(stream), h2(frameData, 0, 1, message(16, text))...),
		"not its message": append(bytes.Clone(stream), h2(frameData, 0, 1, message(18, []byte("\x01\x00\x10\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00{}")))...),
		"beyond window":   append(bytes.Clone(stream), repeat(200, func(int) []byte { return h2(frameData, 0, 1, noiseFrom(1<<14)) })...),
	}
}

// patient are the attacks that gRPC itself ends, which takes six seconds.
var patient = map[string]bool{"no stream": true, "settings": true}

// impatient are the limits of a coordinator that waits for nobody.
func impatient() limits {
	lim := coordinatorLimits
	lim.handshake, lim.first, lim.idle, lim.linger = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
	return lim
}

// attack sends b and waits until the other side has had enough.
func attack(address string, b []byte) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	sent := make(chan bool)
	go func() {
		c.Write(b) // the other side may close at any time
		close(sent)
	}()
	_, err = io.Copy(io.Discard, c)
	c.Close()
	<-sent
	if t, ok := err.(net.Error); ok && t.Timeout() {
		return err
	}
	return nil
}

// TestStrangers checks that every stranger is cut off, that a worker is served
// meanwhile, and that nothing is left behind: of strangers who prove nothing, and where
// nothing has to be proved.
func TestStrangers(t *testing.T) {
	for name, trust := range map[string]Trust{"strangers": {}, "permitted": {Insecure: true}} {
		t.Run(name, func(t *testing.T) { strangers(t, trust) })
	}
}

func strangers(t *testing.T, trust Trust) {
	noLeak(t)
	s, err := listenWithin(Options{Listen: "127.0.0.1:0", Trust: trust}, impatient())
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, s, Handler{Worker: echo})
	worker, err := Dial(t.Context(), s.Addr(), Worker, trust)
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Close()
	if err := ping(worker); err != nil {
		t.Fatal(err)
	}
	before := heap()
	var all sync.WaitGroup
	for name, b := range attacks() {
		if testing.Short() && patient[name] {
			continue
		}
		all.Go(func() {
			if err := attack(s.Addr(), b); err != nil {
				t.Errorf("%s: %v, want that it is cut off", name, err)
			}
		})
		if err := ping(worker); err != nil {
			t.Fatalf("during %s: the worker that is there got %v", name, err)
		}
	}
	all.Wait()
	if err := ping(worker); err != nil {
		t.Fatalf("the worker that is there got %v", err)
	}
	if after := heap(); after > before+8<<20 {
		t.Errorf("heap: got %d bytes, want about %d as before", after, before)
	}
}

func serveUntilEnd(t *testing.T, s *Server, h Handler) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// heap returns how much memory is in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestCrowd opens more connections than a port has room for: they cost no more
// than the port allows, and when they are gone there is room again.
func TestCrowd(t *testing.T) {
	noLeak(t)
	lim := impatient()
	lim.conns = 50
	s, err := listenWithin(Options{Listen: "127.0.0.1:0", Trust: Trust{Insecure: true}}, lim)
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, s, Handler{Worker: echo})
	before := heap()
	var crowd sync.WaitGroup
	const visitors = 1000
	half := attacks()["half a message"]
	for i := range visitors {
		crowd.Go(func() {
			var b []byte
			if i%2 == 0 {
				b = half
			}
			if err := attack(s.Addr(), b); err != nil {
				t.Error(err)
			}
		})
	}
	crowd.Wait()
	s.listener.mu.Lock()
	n := len(s.listener.members)
	s.listener.mu.Unlock()
	if n > lim.conns {
		t.Errorf("got %d connections, want at most %d", n, lim.conns)
	}
	var worker dist.Conn
	for range 100 { // the last strangers are on their way out
		if worker, err = Dial(t.Context(), s.Addr(), Worker, Trust{Insecure: true}); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer worker.Close()
	if err := ping(worker); err != nil {
		t.Error(err)
	}
	if after := heap(); after > before+8<<20 {
		t.Errorf("heap: got %d bytes, want about %d as before", after, before)
	}
}

// TestSilentWorker checks that a worker may be silent once it has spoken, and not
// before.
func TestSilentWorker(t *testing.T) {
	noLeak(t)
	s, err := listenWithin(Options{Listen: "127.0.0.1:0", Trust: Trust{Insecure: true}}, impatient())
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, s, Handler{Worker: echo})
	spoke, err := Dial(t.Context(), s.Addr(), Worker, Trust{Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	defer spoke.Close()
	if err := ping(spoke); err != nil {
		t.Fatal(err)
	}
	silent, err := Dial(t.Context(), s.Addr(), Worker, Trust{Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := silent.Recv(); err == nil {
		t.Error("silent: got a frame, want the end")
	}
	if err := ping(spoke); err != nil {
		t.Errorf("one that has spoken: %v", err)
	}
}

// TestHugeClaim checks that memory for tensors is not taken because a frame says
// that they come: only what is allowed.
func TestHugeClaim(t *testing.T) {
	noLeak(t)
	a, b := pair(t, Options{Listen: socket(t)})
	b.Allow(1 << 10)
	go a.Send(wire.Frame{Message: &wire.Ping{}, Bytes: make([]byte, 64<<20)})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := b.Recv(); err == nil {
		t.Error("got a frame, want an error")
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("took %d bytes", used)
	}
}
