package vec

import "math"

// ToBF16 rounds x to bfloat16, the upper half of a float32: to nearest, ties to
// even. A NaN stays a NaN, with its sign and the upper bits of its payload.
func ToBF16(dst []uint16, x []float32) {
	i := toBF16Asm(dst, x)
	for ; i < len(dst); i++ {
		dst[i] = uint16(upperHalf(x[i]) >> 16)
	}
}

// RoundBF16 computes dst = x as ToBF16 rounds it; dst may be x. Numbers below the least
// normal one are rounded like others, not to zero.
func RoundBF16(dst, x []float32) {
	i := roundBF16Asm(dst, x)
	for ; i < len(dst); i++ {
		dst[i] = math.Float32frombits(upperHalf(x[i]) &^ 0xffff)
	}
}

// PairBF16 rounds two vectors as ToBF16 does: lo to the lower halves of dst, hi to the
// upper ones.
func PairBF16(dst []uint32, lo, hi []float32) {
	i := pairBF16Asm(dst, lo, hi)
	for ; i < len(dst); i++ {
		dst[i] = upperHalf(lo[i])>>16 | upperHalf(hi[i])&^0xffff
	}
}

// upperHalf returns the bits of x with the upper half rounded.
func upperHalf(x float32) uint32 {
	b := math.Float32bits(x)
	if x != x {
		return b | 0x400000 // quiet: it must not become an infinity
	}
	return b + 0x7fff + b>>16&1
}

// FromBF16 computes dst = x, exactly.
func FromBF16(dst []float32, x []uint16) {
	i := fromBF16Asm(dst, x)
	for ; i < len(dst); i++ {
		dst[i] = math.Float32frombits(uint32(x[i]) << 16)
	}
}

// AddBF16 computes sum += x.
func AddBF16(sum []float32, x []uint16) {
	i := addBF16Asm(sum, x)
	for ; i < len(sum); i++ {
		sum[i] += math.Float32frombits(uint32(x[i]) << 16)
	}
}
