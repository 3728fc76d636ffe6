package vec

import "unsafe"

// Ask lets the processor fetch x while it does something else. Rows that are gathered from
// a large table are anywhere in memory: one after the other, each waits for its first lines.
func Ask[T uint8 | int32 | float32](x []T) {
	if len(x) > 0 {
		ask((*byte)(unsafe.Pointer(&x[0])), len(x)*int(unsafe.Sizeof(x[0])))
	}
}

// FromBytes computes dst = scale·x + shift, with the product rounded.
func FromBytes(dst []float32, x []byte, scale, shift float32) {
	i := fromBytesAsm(dst, x, scale, shift)
	for ; i < len(dst); i++ {
		dst[i] = float32(float32(x[i])*scale) + shift
	}
}

// FromBytesEach computes dst[j] = scale[j]·x[j] + shift[j], with the product rounded. All have
// the length of dst.
func FromBytesEach(dst []float32, x []byte, scale, shift []float32) {
	x, scale, shift = x[:len(dst)], scale[:len(dst)], shift[:len(dst)]
	i := fromBytesEachAsm(dst, x, scale, shift)
	for ; i < len(dst); i++ {
		dst[i] = float32(float32(x[i])*scale[i]) + shift[i]
	}
}

// FromBytesCentered computes dst[j] = scale[j]·(x[j] − center[j]) + shift[j], with the difference
// and the product rounded. All have the length of dst.
func FromBytesCentered(dst []float32, x []byte, scale, shift, center []float32) {
	x, scale, shift, center = x[:len(dst)], scale[:len(dst)], shift[:len(dst)], center[:len(dst)]
	i := fromBytesCenteredAsm(dst, x, scale, shift, center)
	for ; i < len(dst); i++ {
		dst[i] = float32(float32(float32(x[i])-center[i])*scale[i]) + shift[i]
	}
}
