package disttest

import (
	"context"
	"io"
	"slices"
	"sync"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// A Network connects workers by the IDs in their Generation.
type Network struct {
	mu    sync.Mutex
	links map[linkKey]chan *Link // dialled and not yet accepted
}

type linkKey struct {
	job      string
	gen      int
	from, to string
	secret   string
}

// NewNetwork returns a network without links.
func NewNetwork() *Network { return &Network{links: map[linkKey]chan *Link{}} }

// Peers returns how a worker sees the network.
func (n *Network) Peers(id string) dist.Peers { return peers{n, id} }

type peers struct {
	*Network
	id string
}

func (p peers) Addresses() []string { return []string{"test:" + p.id} }

func (p peers) Dial(_ context.Context, g dist.Generation, to wire.Member) (dist.Link, error) {
	a, b := NewLink()
	p.box(linkKey{g.Job, g.Gen, g.Self, to.ID, g.Secret}) <- b
	return a, nil
}

func (p peers) Accept(ctx context.Context, g dist.Generation, from string) (dist.Link, error) {
	select {
	case l := <-p.box(linkKey{g.Job, g.Gen, from, g.Self, g.Secret}):
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *Network) box(k linkKey) chan *Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.links[k] == nil {
		n.links[k] = make(chan *Link, 1)
	}
	return n.links[k]
}

// A Link is one end of a link between two workers.
type Link struct {
	*line
	out, in chan []byte
	rest    []byte
}

// NewLink returns the two ends of a link.
func NewLink() (a, b *Link) {
	l := &line{closed: make(chan struct{}), open: make(chan struct{})}
	close(l.open)
	ab, ba := make(chan []byte, depth), make(chan []byte, depth)
	return &Link{line: l, out: ab, in: ba}, &Link{line: l, out: ba, in: ab}
}

// Send copies b to the other end.
func (l *Link) Send(b []byte) error {
	if err := l.pass(); err != nil {
		return err
	}
	select {
	case <-l.closed:
		return errClosed
	default:
	}
	select {
	case <-l.closed:
		return errClosed
	case l.out <- slices.Clone(b):
		return nil
	}
}

// Recv fills b.
func (l *Link) Recv(b []byte) error {
	for len(b) > 0 {
		if len(l.rest) == 0 {
			if err := l.pass(); err != nil {
				return err
			}
			select {
			case l.rest = <-l.in:
			case <-l.closed:
				return io.ErrUnexpectedEOF
			}
		}
		n := copy(b, l.rest)
		b, l.rest = b[n:], l.rest[n:]
	}
	return nil
}
