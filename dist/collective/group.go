package collective

import (
	"sync"
	"sync/atomic"

	"github.com/gespann/gespann/dist"
)

// A group has a member's links to others. It is broken for good after the first
// error.
type group struct {
	rank, size int
	peers      []*peer // by rank; nil: no link
	senders    sync.WaitGroup

	mu  sync.Mutex
	err error
}

// A peer is a member to which there is a link.
type peer struct {
	id             string
	link           dist.Link
	direct         bool // whoever sends does it at once
	out            outbox
	sent, received atomic.Int64
}

// start begins to send to those to which there are links. With direct, sends on links
// that copy are those of the caller of push, for whom no more than dist.CopierRoom may wait.
func (g *group) start(direct bool) {
	for _, p := range g.peers {
		if p == nil {
			continue
		}
		if c, ok := p.link.(dist.Copier); ok && direct && c.Copies() {
			p.direct = true
			continue
		}
		p.out.more.L = &p.out.mu
		g.senders.Go(func() {
			if err := p.out.run(p.send); err != nil {
				_ = g.fail(&PeerError{p.id, err})
			}
		})
	}
}

func (p *peer) send(b []byte) error {
	p.sent.Add(int64(len(b)))
	return p.link.Send(b)
}

// push sends b to a peer. What goes wrong is told by the next recv.
func (g *group) push(p *peer, b []byte) {
	switch {
	case len(b) == 0:
	case !p.direct:
		p.out.push(b)
	default:
		if err := p.send(b); err != nil {
			_ = g.fail(&PeerError{p.id, err})
		}
	}
}

// recv fills b with what comes from a peer.
func (g *group) recv(p *peer, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := p.link.Recv(b); err != nil {
		return g.fail(&PeerError{p.id, err})
	}
	p.received.Add(int64(len(b)))
	return nil
}

// fail ends all links because of err, unless something else ended them before. It
// returns the first error.
func (g *group) fail(err error) error {
	g.mu.Lock()
	first := g.err == nil
	if first {
		g.err = err
	}
	err = g.err
	g.mu.Unlock()
	if first {
		for _, p := range g.peers {
			if p != nil {
				if !p.direct {
					p.out.close()
				}
				_ = p.link.Close() // there is no one to tell
			}
		}
	}
	return err
}

// broken returns the first error, if there was one.
func (g *group) broken() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// Close ends the group's links and goroutines. A sum that is under way returns
// ErrClosed; other members see their links end, and may miss what this one has
// sent last: a group is closed when all members are known to be done, or to give up.
// Closing twice is harmless.
func (g *group) Close() error {
	_ = g.fail(ErrClosed)
	g.senders.Wait()
	return nil
}

// Traffic returns what this member has moved so far. It may be called at any time.
func (g *group) Traffic() Traffic {
	var t Traffic
	for _, p := range g.peers {
		if p != nil {
			t.Sent += p.sent.Load()
			t.Received += p.received.Load()
		}
	}
	return t
}
