package collective

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/gespann/gespann/backend/cpu/vec"
	"github.com/gespann/gespann/backend/sumtree"
)

// BenchmarkChunk measures what is done with a chunk, from a cache.
func BenchmarkChunk(b *testing.B) {
	x, y, h := make([]float32, chunk), make([]float32, chunk), make([]uint16, chunk)
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"add", func() { sumtree.Add(x, y) }},
		{"toBF16", func() { toBF16(h, x) }},
		{"fromBF16", func() { fromBF16(x, h) }},
		{"addBF16", func() { addBF16(x, h) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(chunk * 4)
			for b.Loop() {
				c.f()
			}
		})
	}
}

// BenchmarkSum sums the gradients of an MLP, 784-512-512-10, over a unix socket
// between two members, with nothing to hide it behind. Both are in this process.
func BenchmarkSum(b *testing.B) {
	fast := Loops{
		Add:    func(sum, x []float32) { vec.Add(sum, sum, x) },
		ToBF16: vec.ToBF16, FromBF16: vec.FromBF16, AddBF16: vec.AddBF16,
	}
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"fp32", Options{}}, {"fp32 fast", Options{Loops: fast}},
		{"bf16", Options{BF16: true}}, {"bf16 fast", Options{BF16: true, Loops: fast}},
	} {
		b.Run(c.name, func(b *testing.B) {
			x, y := unixPair(b)
			var bs [2]*Bucketed
			for rank, conn := range []net.Conn{x, y} {
				g := &group{rank: rank, size: 2, peers: make([]*peer, 2)}
				g.peers[1-rank] = &peer{id: "other", link: strictLink{conn}}
				bs[rank] = NewBucketed(newRing(g, c.o), 0)
			}
			const length = 670_720
			b.SetBytes(4 * length)
			must(b, together(2, func(rank int) error {
				v, tail := make([]float32, length), make([]float32, 20)
				for range b.N {
					bs[rank].Begin(v)
					if err := bs[rank].Wait(tail); err != nil {
						return err
					}
				}
				return nil
			}))
			must(b, []error{bs[0].Close(), bs[1].Close()})
		})
	}
}

func unixPair(b *testing.B) (net.Conn, net.Conn) {
	b.Helper()
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return dialled, accepted
}
