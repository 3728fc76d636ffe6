package server

import (
	"context"
	"fmt"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// Worker serves the connection of a worker until its end.
func (s *Server) Worker(ctx context.Context, conn dist.Conn) error {
	return s.serve(ctx, conn, func(p *peer) error {
		f, err := p.first()
		if err != nil {
			return err
		}
		hello, ok := f.Message.(*wire.Hello)
		switch {
		case !ok:
			err = fmt.Errorf("the first message of a worker is %s, want hello", f.Kind())
		case hello.Protocol != wire.Protocol:
			err = fmt.Errorf("the worker speaks protocol %d, this coordinator %d\n"+
				"hint: use the same version of gespann everywhere", hello.Protocol, wire.Protocol)
		}
		if err != nil {
			return p.refuse(&wire.Dismiss{Reason: err.Error()}, err)
		}
		p.worker = hello.ID
		if !s.post(incoming{from: p, hello: hello}) {
			return errClosing
		}
		for {
			f, err := p.receive()
			if err != nil {
				s.post(incoming{from: p, gone: err})
				return err
			}
			if !s.post(incoming{from: p, frame: f}) {
				return errClosing
			}
		}
	})
}
