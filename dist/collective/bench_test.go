package collective

import (
	"testing"

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
