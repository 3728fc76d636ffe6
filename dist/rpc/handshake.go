package rpc

import (
	"errors"
	"io"
	"net"
	"runtime"

	"google.golang.org/grpc/credentials"
)

// opening is what a connection of HTTP/2 begins with, RFC 9113 section 3.4.
const opening = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// settings is an empty frame of that kind.
var settings = []byte{0, 0, 0, 4, 0, 0, 0, 0, 0}

// So many handshakes compute at a time: of those that begin, and of those that go on. One
// that waits for the other side has no token, so slow ones hold up nobody.
var (
	beginning = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	ending    = make(chan struct{}, runtime.GOMAXPROCS(0))
)

// A threshold is the server's side of a handshake. gRPC takes memory for a connection
// when that is over: then it is of someone with a certificate, or, where there are none,
// it has sent the first bytes of HTTP/2.
type threshold struct {
	credentials.TransportCredentials
	secure   bool
	listener *listener
}

// Clone implements credentials.TransportCredentials.
func (t threshold) Clone() credentials.TransportCredentials {
	t.TransportCredentials = t.TransportCredentials.Clone()
	return t
}

// ServerHandshake implements credentials.TransportCredentials. gRPC has set a deadline.
func (t threshold) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c, info, err := t.handshake(raw)
	if err != nil {
		return nil, nil, err
	}
	if !t.secure {
		if c, err = begun(c); err != nil {
			return nil, nil, err
		}
	}
	if line, ok := raw.(*line); ok && !t.listener.shaken(line) {
		return nil, nil, net.ErrClosed
	}
	return c, info, nil
}

func (t threshold) handshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	p := &paced{Conn: raw}
	defer func() {
		p.over = true
		p.pause()
	}()
	return t.TransportCredentials.ServerHandshake(p)
}

// A paced connection computes only with a token, which it gives away while it waits for
// the other side. Who has been answered does not queue behind those who begin.
type paced struct {
	net.Conn
	over  bool          // the handshake is
	token chan struct{} // that it has; nil: none
	reads int
}

// Read implements net.Conn.
func (p *paced) Read(b []byte) (int, error) {
	if p.over {
		return p.Conn.Read(b)
	}
	p.pause()
	n, err := p.Conn.Read(b)
	if p.token = beginning; p.reads > 0 {
		p.token = ending
	}
	p.reads++
	p.token <- struct{}{}
	return n, err
}

func (p *paced) pause() {
	if p.token != nil {
		<-p.token
		p.token = nil
	}
}

// begun waits for the first bytes of HTTP/2.
func begun(c net.Conn) (net.Conn, error) {
	first := make([]byte, 2<<10)
	n, err := io.ReadAtLeast(c, first, len(opening))
	if err != nil {
		return nil, err
	}
	if string(first[:len(opening)]) != opening {
		c.Write(settings) // it may tell the other side whom it has reached
		return nil, errors.New("it does not speak HTTP/2")
	}
	return &ahead{Conn: c, first: first[:n]}, nil
}
