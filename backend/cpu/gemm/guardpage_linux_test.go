package gemm

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"github.com/gespann/gespann/backend/cpu/pool"
	"github.com/gespann/gespann/backend/ir"
)

// fenced returns n floats that end where reading is a fault.
func fenced(t *testing.T, n int) []float32 {
	t.Helper()
	page := os.Getpagesize()
	size := roundUp(n*floatSize, page)
	mem, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	if err := syscall.Mprotect(mem[size:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	end := mem[:size]
	return unsafe.Slice((*float32)(unsafe.Pointer(&end[size-n*floatSize])), n)
}

// TestNoReadPastEnd runs into a fault if a kernel reads behind an input, or
// touches what is behind an output.
func TestNoReadPastEnd(t *testing.T) {
	p := pool.New(1)
	t.Cleanup(p.Close)
	for _, path := range paths() {
		for _, s := range matmulShapes {
			m, n, k := s[0], s[1], s[2]
			c, a, b := fenced(t, m*n), fenced(t, m*k), fenced(t, k*n)
			e := &Epilogue{Accumulate: true, Bias: fenced(t, n), Act: ir.ReLU, Ref: fenced(t, m*n)}
			for trans := range 4 {
				newMatMul(p, path, m, n, k, trans&1 != 0, trans&2 != 0).Run(c, a, b, e)
			}
		}
		for _, tc := range convShapes {
			t.Run(fmt.Sprint(path.name, "/", tc.name), func(t *testing.T) {
				plan := newConv2D(p, path, tc.ConvShape)
				nx, nw, ny := plan.shape.sizes()
				x, w, y := fenced(t, nx), fenced(t, nw), fenced(t, ny)
				plan.Forward(y, x, w, &Epilogue{Bias: fenced(t, tc.O), Act: ir.ReLU, Ref: fenced(t, ny)})
				plan.GradInput(x, w, y, &Epilogue{Act: ir.ReLU, Ref: fenced(t, nx)})
				plan.GradWeight(w, x, y)
			})
		}
	}
}
