package collective

import "math"

// toBF16 rounds x to bfloat16, the upper half of a float32: to nearest, ties to
// even. A NaN stays a NaN, and keeps its sign and the upper bits of its payload.
func toBF16(dst []uint16, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		b := math.Float32bits(v)
		r := b + 0x7fff + b>>16&1
		if b&0x7fffffff > 0x7f800000 {
			r = b | 0x400000 // quiet, so that it does not become an infinity
		}
		dst[i] = uint16(r >> 16)
	}
}

// fromBF16 is exact.
func fromBF16(dst []float32, x []uint16) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] = math.Float32frombits(uint32(v) << 16)
	}
}

// addBF16 does sum[i] += x[i].
func addBF16(sum []float32, x []uint16) {
	sum = sum[:len(x)]
	for i, v := range x {
		sum[i] += math.Float32frombits(uint32(v) << 16)
	}
}
