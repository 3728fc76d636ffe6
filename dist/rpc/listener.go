package rpc

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gespann/gespann/internal/memlimit"
)

// A listener gives places to connections. One that has not had a stream admitted is a
// stranger's: those have places of their own, for a short time, and fewer when they have
// shaken hands. When all are taken, the oldest one of the address that has most of them
// makes room. With its first stream a connection moves to the places of members, which
// strangers cannot take.
type listener struct {
	net.Listener
	name   string // of all connections, or "": they have addresses
	limits limits
	memory *memlimit.Budget // that members take from; nil: no end

	mu        sync.Mutex
	members   map[*line]bool
	strangers map[*line]bool
	guests    map[*line]bool // of strangers
	closed    chan struct{}
	once      sync.Once
}

func newListener(l net.Listener, name string, lim limits) *listener {
	return &listener{Listener: l, name: name, limits: lim, members: map[*line]bool{},
		strangers: map[*line]bool{}, guests: map[*line]bool{}, closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	name := l.name
	if name == "" {
		name = c.RemoteAddr().String()
	}
	line := newLine(c, name)
	line.address = l.placeOf(c)
	line.ending = func() { l.forget(line) }
	line.since = time.Now()
	line.timer = time.AfterFunc(l.limits.stranger, func() { l.expire(line) })
	if !l.place(line, l.strangers, l.limits.strangers) {
		line.Close()
		return nil, net.ErrClosed
	}
	return line, nil
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// placeOf returns what connections are counted by while they are strangers': the
// address, of IPv6 the network that one machine has for itself.
func (l *listener) placeOf(c net.Conn) string {
	if l.name != "" {
		return ""
	}
	at, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return ""
	}
	ip := at.Addr().Unmap()
	if ip.Is6() {
		if network, err := ip.Prefix(64); err == nil {
			return network.String()
		}
	}
	return ip.String()
}

// place gives one to a connection as soon as there is one, or one can be made. It returns
// false when the listener or the connection is closed.
func (l *listener) place(line *line, among map[*line]bool, of places) bool {
	for {
		l.mu.Lock()
		out, ok := room(among, of)
		if ok {
			delete(among, out)
			among[line] = true
		}
		l.mu.Unlock()
		if out != nil {
			out.Close()
		}
		if ok {
			return true
		}
		select {
		case <-time.After(of.least / 8):
		case <-line.dead:
			return false
		case <-l.closed:
			return false
		}
	}
}

// room returns whether there is a place, and who has to go for it. Those that have come
// just now do not.
func room(among map[*line]bool, of places) (out *line, ok bool) {
	if len(among) < of.most {
		return nil, true
	}
	count := map[string]int{}
	for s := range among {
		count[s.address]++
	}
	for s := range among {
		if out == nil || count[s.address] > count[out.address] ||
			count[s.address] == count[out.address] && s.since.Before(out.since) {
			out = s
		}
	}
	if time.Since(out.since) < of.least {
		return nil, false
	}
	return out, true
}

// shaken gives a connection that has shaken hands a place among guests, or returns false.
func (l *listener) shaken(line *line) bool {
	if !l.place(line, l.guests, l.limits.guests) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	line.since = time.Now()
	if !l.strangers[line] { // it was closed meanwhile
		delete(l.guests, line)
		return false
	}
	return true
}

// expire ends a connection that has been a stranger's for too long.
func (l *listener) expire(line *line) {
	l.mu.Lock()
	stranger := l.strangers[line]
	l.mu.Unlock()
	if stranger {
		line.Close()
	}
}

// join makes a connection a member's, of which a stream is about to be admitted. When
// all places are taken, one makes room that has not said a word for a while.
func (l *listener) join(line *line) error {
	l.mu.Lock()
	silent := l.silent()
	err := l.enter(line, silent != nil)
	l.mu.Unlock()
	if err == nil && silent != nil {
		silent.Close()
	}
	return err
}

// silent returns a member that has not said anything in a tenth of the time that it
// has for that, when there is no place for another; or nil. l.mu is held.
func (l *listener) silent() *line {
	if len(l.members) < l.limits.conns || l.limits.first == 0 {
		return nil
	}
	var oldest *line
	for m := range l.members {
		if !m.spoke.Load() && time.Since(m.since) > l.limits.first/10 && (oldest == nil || m.since.Before(oldest.since)) {
			oldest = m
		}
	}
	return oldest
}

// enter makes a stranger a member; room: whatever others have. l.mu is held.
func (l *listener) enter(line *line, room bool) error {
	switch {
	case line.member:
		return nil
	case !l.strangers[line]:
		return full("this connection has made room for others")
	case len(l.members) >= l.limits.conns && !room:
		return full("all %d places for connections are taken; try again later", l.limits.conns)
	}
	if l.memory != nil {
		// Frames must have room, too.
		if most := l.memory.Total() / 2 / l.limits.memory; int64(len(l.members)) >= most {
			return full("there is memory for %d connections, and they are taken; try again later", most)
		}
		if err := l.memory.Try(l.limits.memory, "a connection"); err != nil {
			return full("%v; try again later", err)
		}
	}
	line.member = true
	line.timer.Stop()
	delete(l.strangers, line)
	delete(l.guests, line)
	l.members[line] = true
	return nil
}

// full is what a server answers to a stream for which it has no place now.
func full(format string, args ...any) error {
	return status.Error(codes.Aborted, fmt.Sprintf(format, args...))
}

func (l *listener) forget(line *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line.timer.Stop()
	delete(l.strangers, line)
	delete(l.guests, line)
	if l.members[line] && l.memory != nil {
		l.memory.Give(l.limits.memory)
	}
	delete(l.members, line)
}

// killAll ends all connections, those in a handshake too.
func (l *listener) killAll() {
	l.mu.Lock()
	lines := make([]*line, 0, len(l.members)+len(l.strangers))
	for line := range l.members {
		lines = append(lines, line)
	}
	for line := range l.strangers {
		lines = append(lines, line)
	}
	l.mu.Unlock()
	for _, line := range lines {
		line.Close()
	}
}
