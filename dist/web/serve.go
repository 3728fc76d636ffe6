package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// Bounds of what strangers may take of a coordinator.
const (
	maxConns     = 256
	maxConnsFrom = 64       // of one address that is not this machine
	maxHeader    = 16 << 10 // bytes
	closeTimeout = 2 * time.Second
)

// deadlines say how long the parts of an exchange may take.
type deadlines struct{ header, read, write, idle time.Duration }

var usual = deadlines{
	header: 5 * time.Second,
	read:   10 * time.Second,
	write:  20 * time.Second, // streams extend theirs with each event
	idle:   time.Minute,
}

// Serve listens on an address such as "localhost:8080" and answers requests until
// ctx ends, when it returns nil; nothing of it is left running then. An address
// without a host, such as ":8080", is that of every network that this machine is
// on: whoever reaches it there can read the page.
func Serve(ctx context.Context, addr string, handler http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return ServeOn(ctx, l, handler)
}

// ServeOn is Serve on a listener, which it closes.
func ServeOn(ctx context.Context, l net.Listener, handler http.Handler) error {
	return serveAt(ctx, newGate(l, maxConns, maxConnsFrom), usual, handler)
}

func serveAt(ctx context.Context, g *gate, within deadlines, handler http.Handler) error {
	streams, end := context.WithCancel(ctx)
	defer end()
	srv := &http.Server{
		Handler:           handler,
		MaxHeaderBytes:    maxHeader,
		ReadHeaderTimeout: within.header,
		ReadTimeout:       within.read,
		WriteTimeout:      within.write,
		IdleTimeout:       within.idle,
		BaseContext:       func(net.Listener) context.Context { return streams },
		ConnState:         g.move,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, visitorKey{}, c)
		},
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(g) }()
	select {
	case err := <-failed:
		return errors.Join(err, srv.Close())
	case <-ctx.Done():
	}
	end()
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err := srv.Shutdown(late)
	if err != nil { // someone reads slowly
		err = srv.Close()
	}
	<-failed // http.ErrServerClosed
	return err
}
