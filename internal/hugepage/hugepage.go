// Package hugepage asks for memory in large pages.
//
// Arrays of many megabytes that are read in strides, or several at once as an optimiser
// does, spend time on translating addresses: a page of 4 KiB holds a row of a matrix or
// less, and on a virtual machine a translation that is not cached takes two walks.
package hugepage

import "unsafe"

// size is that of a large page, in bytes.
const size = 2 << 20

// inside returns the whole large pages inside a slice as their offset and length in
// bytes; the length is 0 where there is none.
func inside(s []float32) (offset, length int) {
	from := uintptr(unsafe.Pointer(unsafe.SliceData(s)))
	offset = int(-from % size)
	return offset, max(4*len(s)-offset, 0) / size * size
}
