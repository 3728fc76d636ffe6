package hugepage

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Advise asks the kernel to use large pages for memory that has not been touched, where
// the whole of them lies inside s. It is a wish: the kernel may have none, or be told
// never to.
func Advise(s []float32) {
	offset, length := inside(s)
	if length == 0 {
		return
	}
	first := unsafe.Add(unsafe.Pointer(unsafe.SliceData(s)), offset)
	// An error says that this kernel does without.
	_ = unix.Madvise(unsafe.Slice((*byte)(first), length), unix.MADV_HUGEPAGE)
}
