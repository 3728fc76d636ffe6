package rpc

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
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

	// Of a line that came to a listener, whose mutex guards them.
	address string    // whose places it takes, as long as it is a stranger
	since   time.Time // it came
	member  bool      // a stream of it was admitted
	timer   *time.Timer
	spoke   atomic.Bool // a frame has come

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
