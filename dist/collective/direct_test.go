package collective

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
)

// A copyLink is a dist.Copier that takes no more than it must.
type copyLink struct {
	*copyLine
	side int
}

// A copyLine is what both sides of a copyLink share.
type copyLine struct {
	mu     sync.Mutex
	change sync.Cond
	unread [2][]byte // by the side that sent it
	closed bool
}

func newCopyLink() (a, b copyLink) {
	l := &copyLine{}
	l.change.L = &l.mu
	return copyLink{l, 0}, copyLink{l, 1}
}

func (l copyLink) Copies() bool { return true }

func (l copyLink) Send(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(b) > 0 {
		n := min(len(b), dist.CopierRoom-len(l.unread[l.side]))
		switch {
		case l.closed:
			return io.ErrClosedPipe
		case n == 0:
			l.change.Wait()
		default:
			l.unread[l.side] = append(l.unread[l.side], b[:n]...)
			b = b[n:]
			l.change.Broadcast()
		}
	}
	return nil
}

func (l copyLink) Recv(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := 1 - l.side
	for len(b) > 0 {
		n := copy(b, l.unread[from])
		switch {
		case l.closed:
			return io.ErrUnexpectedEOF
		case n == 0:
			l.change.Wait()
		default:
			b, l.unread[from] = b[n:], l.unread[from][:copy(l.unread[from], l.unread[from][n:])]
			l.change.Broadcast()
		}
	}
	return nil
}

func (l copyLink) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.change.Broadcast()
	return nil
}

// direct returns a ring of members of which so many, from the first, have links to
// their right that copy.
func direct(t *testing.T, n, copies int, o Options) []*Ring {
	t.Helper()
	network := newNetwork(false)
	for i := range copies {
		network.copies = append(network.copies, fmt.Sprint("w", i))
	}
	all := equal(n)
	return connectOver(t, network, all, func(p dist.Peers, g dist.Generation, rank int) (*Ring, error) {
		return ConnectRing(context.Background(), p, g, all, rank, o)
	})
}

// TestDirect sums vectors of several buckets, and some more, over links that take
// little, in groups where all links are such, and where some are. Members come late in
// turns.
func TestDirect(t *testing.T) {
	checkGoroutines(t)
	const length, steps = 2*Bucket + 1234, 4
	for n := 2; n <= 5; n++ {
		for _, copies := range []int{n, n - 1, 1} {
			for _, o := range []Options{{}, {BF16: true}} {
				rings := direct(t, n, copies, o)
				bs := make([]*Bucketed, n)
				for rank, r := range rings {
					bs[rank] = NewBucketed(r, 0)
					left := (rank + n - 1) % n
					if want := rank < copies && left < copies || n == 2; bs[rank].inline != want {
						t.Errorf("%d of %d: inline is %v, want %v", rank, n, bs[rank].inline, want)
					}
				}
				must(t, together(n, func(rank int) error { return directSteps(bs, rank, length, steps) }))
				for _, b := range bs {
					must(t, []error{b.Close()})
				}
			}
		}
	}
}

// directSteps sums small whole numbers, which have no rounding.
func directSteps(bs []*Bucketed, rank, length, steps int) error {
	n, r := len(bs), rand.New(rand.NewPCG(1, uint64(rank)))
	v, tail := make([]float32, length), make([]float32, short+short/2)
	for step := range steps {
		bs[rank].Begin(v)
		for i := range v {
			v[i] = float32((i + step) % 8)
		}
		for i := range tail {
			tail[i] = float32(i % 5)
		}
		if step%n == rank {
			time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond)
		}
		bs[rank].Ready(length / 2)
		err := bs[rank].Wait(tail[:len(tail)/(1+step%2*10)])
		for i, got := range v {
			if want := float32(n * ((i + step) % 8)); err == nil && got != want {
				err = fmt.Errorf("step %d: [%d] is %v, want %v", step, i, got, want)
			}
		}
		for i, got := range tail[:len(tail)/(1+step%2*10)] {
			if want := float32(n * (i % 5)); err == nil && got != want {
				err = fmt.Errorf("step %d: tail [%d] is %v, want %v", step, i, got, want)
			}
		}
		if err != nil {
			_ = bs[rank].Close() // the others would wait
			return err
		}
	}
	return nil
}
