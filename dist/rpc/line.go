package rpc

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/gespann/gespann/dist/rpc/lane"
)

// A line is a network connection that says when it has ended.
type line struct {
	net.Conn
	name   string // address of the other side
	dead   chan struct{}
	once   sync.Once
	ending func() // or nil

	mu    sync.Mutex
	lanes map[*lane.Lane]bool // of its streams; nil: ended
}

func newLine(c net.Conn, name string) *line {
	return &line{Conn: c, name: name, dead: make(chan struct{}), lanes: map[*lane.Lane]bool{}}
}

// Close ends the connection, once.
func (l *line) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		err = l.Conn.Close()
		close(l.dead)
		l.closeLanes()
		if l.ending != nil {
			l.ending()
		}
	})
	return err
}

// endBy ends the connection when it still lasts after d, with what gRPC has not
// written until then.
func (l *line) endBy(d time.Duration) {
	l.SetDeadline(time.Now().Add(d)) // fails only where the line has ended
}

// RemoteAddr leads from what gRPC tells of a stream's other side to the line.
func (l *line) RemoteAddr() net.Addr { return lineAddr{l.Conn.RemoteAddr(), l} }

type lineAddr struct {
	net.Addr
	line *line
}

func (a lineAddr) String() string { return a.line.name }

// lineOf returns the line of a stream that came to a server.
func lineOf(ctx context.Context) (*line, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, false
	}
	addr, ok := p.Addr.(lineAddr)
	return addr.line, ok
}

// A listener accepts at most so many connections at a time; the rest it closes.
type listener struct {
	net.Listener
	name string // of all connections, or "": they have addresses
	most int

	mu    sync.Mutex
	lines map[*line]bool
}

func newListener(l net.Listener, name string, most int) *listener {
	return &listener{Listener: l, name: name, most: most, lines: map[*line]bool{}}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		name := l.name
		if name == "" {
			name = c.RemoteAddr().String()
		}
		line := newLine(c, name)
		line.ending = func() { l.forget(line) }
		if l.add(line) {
			return line, nil
		}
		c.Close()
	}
}

func (l *listener) add(line *line) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) >= l.most {
		return false
	}
	l.lines[line] = true
	return true
}

func (l *listener) forget(line *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.lines, line)
}

// killAll ends all connections, those in a handshake too.
func (l *listener) killAll() {
	l.mu.Lock()
	lines := make([]*line, 0, len(l.lines))
	for line := range l.lines {
		lines = append(lines, line)
	}
	l.mu.Unlock()
	for _, line := range lines {
		line.Close()
	}
}
