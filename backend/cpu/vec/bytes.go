package vec

// FromBytes computes dst = scale·x + shift, with the product rounded.
func FromBytes(dst []float32, x []byte, scale, shift float32) {
	i := fromBytesAsm(dst, x, scale, shift)
	for ; i < len(dst); i++ {
		dst[i] = float32(float32(x[i])*scale) + shift
	}
}
