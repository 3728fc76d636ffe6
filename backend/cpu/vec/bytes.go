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
