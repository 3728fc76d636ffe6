package web

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// A gate is a listener that never makes a new connection wait: when there are as
// many as there may be, one that needs its place less is closed. So whoever asks
// whether the coordinator is well is heard, however many others hold connections.
type gate struct {
	net.Listener
	most int // connections
	each int // of one address that is not this machine

	mu       sync.Mutex
	visitors map[*visitor]bool
	from     map[netip.Prefix]int
}

func newGate(l net.Listener, most, each int) *gate {
	return &gate{Listener: l, most: most, each: each, visitors: map[*visitor]bool{}, from: map[netip.Prefix]int{}}
}

// A visitor is a connection, and what it does.
type visitor struct {
	net.Conn
	gate *gate
	peer netip.Prefix

	// Of these, gate.mu is the lock.
	state  http.ConnState
	stream bool      // it sends events
	since  time.Time // when it began to do what it does
}

// Accept returns the next connection, for which it makes room.
func (g *gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			g.mu.Lock()
			g.evict(g.busiest())
			g.mu.Unlock()
		}
		return nil, err
	}
	p := &visitor{Conn: c, gate: g, peer: peerOf(c.RemoteAddr().String()), since: time.Now()}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.from[p.peer] >= g.each && p.peer != thisMachine {
		g.evict(p.peer)
	}
	for g.crowded() && time.Since(p.since) < promptly {
		g.mu.Unlock()
		time.Sleep(breath)
		g.mu.Lock()
	}
	p.since = time.Now()
	if len(g.visitors) >= g.most {
		g.evict(g.busiest())
	}
	g.visitors[p] = true
	g.from[p.peer]++
	return p, nil
}

// breath is how often the next one looks whether there is room, where all places are of
// those who have just come. Each of them has a second so in which it is heard, whoever
// else comes, and however busy the processors are with a training.
const breath = time.Millisecond

// crowded reports whether all places are taken, and none by someone who needs it little
// or has had time.
func (g *gate) crowded() bool {
	if len(g.visitors) < g.most {
		return false
	}
	p := g.least(g.busiest())
	return p != nil && p.need(time.Now()) > needsLittle && !p.deaf(time.Now())
}

// busiest returns the address with the most connections.
func (g *gate) busiest() netip.Prefix {
	var most netip.Prefix
	for peer, n := range g.from {
		if n > g.from[most] {
			most = peer
		}
	}
	return most
}

// evict closes the connection of an address that needs its place least.
func (g *gate) evict(peer netip.Prefix) {
	if least := g.least(peer); least != nil {
		least.Conn.Close() // an error is that of who gave no sign of life
		g.remove(least)
	}
}

// least returns the connection of an address that needs its place least, or nil.
func (g *gate) least(peer netip.Prefix) *visitor {
	var least *visitor
	now := time.Now()
	for p := range g.visitors {
		if p.peer != peer {
			continue
		}
		if least == nil || cmp.Or(cmp.Compare(p.need(now), least.need(now)), p.since.Compare(least.since)) < 0 {
			least = p
		}
	}
	return least
}

func (g *gate) remove(p *visitor) {
	if !g.visitors[p] {
		return
	}
	delete(g.visitors, p)
	if g.from[p.peer]--; g.from[p.peer] == 0 {
		delete(g.from, p.peer)
	}
}

// promptly is how soon a header comes, and an answer is taken, where nobody is slow.
const promptly = time.Second

// needsLittle is the need of who asks nothing, or has its answer.
const needsLittle = 1

// need orders places: the least goes first, and of equal ones the oldest.
func (p *visitor) need(now time.Time) int {
	late := now.Sub(p.since) > promptly
	switch {
	case p.state == http.StateNew && late:
		return 0 // connected, and asks nothing
	case p.state == http.StateIdle:
		return needsLittle // has its answer
	case p.state == http.StateNew:
		return 2
	case p.deaf(now):
		return 3
	case p.stream:
		return 4 // comes back by itself
	}
	return 5
}

// deaf reports whether someone does not read its answer.
func (p *visitor) deaf(now time.Time) bool {
	return p.state == http.StateActive && !p.stream && now.Sub(p.since) > promptly
}

// Close closes the connection and gives its place back.
func (p *visitor) Close() error {
	p.gate.mu.Lock()
	p.gate.remove(p)
	p.gate.mu.Unlock()
	return p.Conn.Close()
}

// move is what a http.Server calls when a connection does something else.
func (g *gate) move(c net.Conn, state http.ConnState) {
	p := c.(*visitor)
	g.mu.Lock()
	defer g.mu.Unlock()
	p.state, p.stream, p.since = state, false, time.Now()
}

// A visitorKey is where the context of a request has its connection.
type visitorKey struct{}

// lasts says that a request is one whose answer goes on.
func lasts(ctx context.Context) {
	p, ok := ctx.Value(visitorKey{}).(*visitor)
	if !ok {
		return
	}
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	p.stream = true
}

// thisMachine stands for all loopback addresses: a proxy there speaks for many.
var thisMachine = netip.Prefix{}

// peerOf returns who is at the other side as far as limits go: an IPv4 address, or
// the /64 of an IPv6 address, which one machine has whole.
func peerOf(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil || at.Addr().Unmap().IsLoopback() {
		return thisMachine
	}
	addr := at.Addr().Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return thisMachine
	}
	return p
}
