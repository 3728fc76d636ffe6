package collective

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

var update = flag.Bool("update", false, "rewrite testdata")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// members returns a group with the given shares.
func members(shares ...int) []wire.Member {
	var all []wire.Member
	for i, share := range shares {
		all = append(all, wire.Member{ID: fmt.Sprint("w", i), Share: share})
	}
	return all
}

// equal returns n members with equal shares.
func equal(n int) []wire.Member {
	shares := make([]int, n)
	for i := range shares {
		shares[i] = 1
	}
	return members(shares...)
}

// checkGoroutines fails the test when more goroutines are left at its end than
// there are now.
func checkGoroutines(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; {
			if time.Now().After(deadline) {
				t.Fatalf("%d goroutines are left, want %d", runtime.NumGoroutine(), before)
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// A closer is a Ring or a Tree.
type closer interface{ Close() error }

// connectAll connects all members of a group over links in this process.
func connectAll[G closer](t testing.TB, all []wire.Member,
	connect func(peers dist.Peers, gen dist.Generation, rank int) (G, error)) []G {
	t.Helper()
	return connectOver(t, newNetwork(false), all, connect)
}

func connectOver[G closer](t testing.TB, network dist.Peers, all []wire.Member,
	connect func(peers dist.Peers, gen dist.Generation, rank int) (G, error)) []G {
	t.Helper()
	groups, errs := make([]G, len(all)), make([]error, len(all))
	var wg sync.WaitGroup
	for rank, m := range all {
		wg.Go(func() {
			gen := dist.Generation{Job: "job", Gen: 1, Self: m.ID}
			groups[rank], errs[rank] = connect(network, gen, rank)
		})
	}
	wg.Wait()
	for rank, err := range errs {
		if err != nil {
			t.Fatalf("rank %d: %v", rank, err)
		}
		t.Cleanup(func() { _ = groups[rank].Close() })
	}
	return groups
}

// A lazyLink does what a link may do at most: it reads what was sent only when the
// other side receives it. So a sum that changes memory too early is wrong. It does
// not allocate.
type lazyLink struct {
	out, in chan []byte
	rest    []byte
	dawdle  bool // now and then, what came is left unread for a while
	shut    func()
	closed  chan struct{}
}

func (l *lazyLink) Send(b []byte) error {
	select {
	case l.out <- b:
		return nil
	case <-l.closed:
		return io.ErrClosedPipe
	}
}

func (l *lazyLink) Recv(b []byte) error {
	for len(b) > 0 {
		if len(l.rest) == 0 {
			select {
			case l.rest = <-l.in:
			case <-l.closed:
				return io.EOF
			}
		}
		if l.dawdle && rand.IntN(4) == 0 {
			time.Sleep(50 * time.Microsecond)
		}
		n := copy(b, l.rest)
		b, l.rest = b[n:], l.rest[n:]
	}
	return nil
}

func (l *lazyLink) Close() error {
	l.shut()
	return nil
}

// A strictLink holds nothing: Send returns when the other side has received all.
type strictLink struct{ net.Conn }

func (l strictLink) Send(b []byte) error {
	_, err := l.Write(b)
	return err
}

func (l strictLink) Recv(b []byte) error {
	_, err := io.ReadFull(l.Conn, b)
	return err
}

// A lazyNetwork makes lazyLinks, or strictLinks.
type lazyNetwork struct {
	strict, dawdle bool
	copies         []string // whose links are copyLinks

	mu    sync.Mutex
	links map[[2]string]chan dist.Link
}

func newNetwork(strict bool) *lazyNetwork {
	return &lazyNetwork{strict: strict, links: map[[2]string]chan dist.Link{}}
}

func (n *lazyNetwork) box(from, to string) chan dist.Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := [2]string{from, to}
	if n.links[key] == nil {
		n.links[key] = make(chan dist.Link, 1)
	}
	return n.links[key]
}

func (n *lazyNetwork) Addresses() []string { return nil }

func (n *lazyNetwork) Dial(_ context.Context, g dist.Generation, to wire.Member) (dist.Link, error) {
	if n.strict {
		a, b := net.Pipe()
		n.box(g.Self, to.ID) <- strictLink{b}
		return strictLink{a}, nil
	}
	if slices.Contains(n.copies, g.Self) {
		a, b := newCopyLink()
		n.box(g.Self, to.ID) <- b
		return a, nil
	}
	closed := make(chan struct{})
	shut := sync.OnceFunc(func() { close(closed) })
	ab, ba := make(chan []byte, 1), make(chan []byte, 1)
	n.box(g.Self, to.ID) <- &lazyLink{out: ba, in: ab, dawdle: n.dawdle, shut: shut, closed: closed}
	return &lazyLink{out: ab, in: ba, dawdle: n.dawdle, shut: shut, closed: closed}, nil
}

func (n *lazyNetwork) Accept(ctx context.Context, g dist.Generation, from string) (dist.Link, error) {
	select {
	case l := <-n.box(from, g.Self):
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func rings(t testing.TB, n int, o Options) []*Ring {
	t.Helper()
	all := equal(n)
	return connectAll(t, all, func(p dist.Peers, g dist.Generation, rank int) (*Ring, error) {
		return ConnectRing(context.Background(), p, g, all, rank, o)
	})
}

// together calls f for all ranks at once, and returns their errors.
func together(n int, f func(rank int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for rank := range n {
		wg.Go(func() { errs[rank] = f(rank) })
	}
	wg.Wait()
	return errs
}

// must fails the test on the first error.
func must(t testing.TB, errs []error) {
	t.Helper()
	for rank, err := range errs {
		if err != nil {
			t.Fatalf("rank %d: %v", rank, err)
		}
	}
}

// sameBits returns the first index at which a and b differ, and whether there is
// none.
func sameBits(a, b []float32) (int, bool) {
	for i := range min(len(a), len(b)) {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return i, false
		}
	}
	return min(len(a), len(b)), len(a) == len(b)
}
