package collective

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// errEndian says why this machine cannot be a member: elements travel as they lie
// in memory.
var errEndian = errors.New("collective: this machine is not little-endian, as workers must be")

// ConnectRing joins the ring of a generation as the member of the given rank: it
// dials the member to the right, and waits for the one to the left; two members
// share one link. All members do so at the same time. One member alone needs no links,
// and peers may then be nil.
func ConnectRing(ctx context.Context, peers dist.Peers, gen dist.Generation,
	members []wire.Member, rank int, o Options) (*Ring, error) {
	n := len(members)
	dial, accept := around(n, rank)
	g, err := connect(ctx, peers, gen, members, rank, dial, accept)
	if err != nil {
		return nil, err
	}
	return newRing(g, o), nil
}

// around returns whom a member of a ring dials, and for whom it waits.
func around(n, rank int) (dial, accept []int) {
	switch {
	case n == 2 && rank == 0:
		dial = []int{1}
	case n == 2:
		accept = []int{0}
	case n > 2:
		dial, accept = []int{(rank + 1) % n}, []int{(rank + n - 1) % n}
	}
	return dial, accept
}

// made is a link, or why there is none.
type made struct {
	rank int
	link dist.Link
	err  error
}

// connect makes the links to the given ranks, all at the same time.
func connect(ctx context.Context, peers dist.Peers, gen dist.Generation,
	members []wire.Member, rank int, dial, accept []int) (*group, error) {
	if rank < 0 || rank >= len(members) {
		return nil, fmt.Errorf("collective: got rank %d in a group of %d", rank, len(members))
	}
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, errEndian
	}
	g := &group{rank: rank, size: len(members), peers: make([]*peer, len(members))}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan made)
	for _, to := range dial {
		go func() {
			link, err := peers.Dial(ctx, gen, members[to])
			results <- made{to, link, err}
		}()
	}
	for _, from := range accept {
		go func() {
			link, err := peers.Accept(ctx, gen, members[from].ID)
			results <- made{from, link, err}
		}()
	}
	var first error
	for range len(dial) + len(accept) {
		m := <-results
		if m.err != nil && first == nil {
			first = &PeerError{members[m.rank].ID, m.err}
			cancel()
		}
		if m.err == nil {
			g.peers[m.rank] = &peer{id: members[m.rank].ID, link: m.link}
		}
	}
	if first != nil {
		for _, p := range g.peers {
			if p != nil {
				_ = p.link.Close()
			}
		}
		return nil, first
	}
	return g, nil
}
