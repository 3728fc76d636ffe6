package vec

// The sums of layer normalisation: over a row, in the blocks and lanes of Sum, but
// not rounded at the end; less than width elements in four lanes. h = (x − mean)·rstd
// is what a row's normal form would be if mean were exact.

// Lanes of several sums.
type (
	twoLanes   [2][width]float32
	threeLanes [3][width]float32
)

// Deviations returns Σ (x−mean) and Σ (x−mean)².
func Deviations(x []float32, mean float32) (sum, squares float64) {
	if len(x) < width {
		s, q := deviationsShort(x, mean)
		return float64(s), float64(q)
	}
	for i := 0; i < len(x); i += block {
		s, q := deviationsBlock(x[i:min(i+block, len(x))], mean)
		sum += float64(s)
		squares += float64(q)
	}
	return sum, squares
}

// deviationsBlock is Deviations of a block.
func deviationsBlock(x []float32, mean float32) (sum, squares float32) {
	var lanes twoLanes
	i := deviationLanes(&lanes, x, mean)
	for ; i < len(x); i++ {
		d := x[i] - mean
		lanes[0][i%width] += d
		lanes[1][i%width] += float32(d * d)
	}
	return tree(&lanes[0]), tree(&lanes[1])
}

// deviationsShort is Deviations of less than width elements.
func deviationsShort(x []float32, mean float32) (sum, squares float32) {
	var s0, s1, s2, s3, q0, q1, q2, q3 float32
	for ; len(x) >= 4; x = x[4:] {
		d0, d1, d2, d3 := x[0]-mean, x[1]-mean, x[2]-mean, x[3]-mean
		s0, s1, s2, s3 = s0+d0, s1+d1, s2+d2, s3+d3
		q0, q1, q2, q3 = q0+float32(d0*d0), q1+float32(d1*d1), q2+float32(d2*d2), q3+float32(d3*d3)
	}
	for _, v := range x {
		d := v - mean
		s0 += d
		q0 += float32(d * d)
	}
	return s0 + s2 + (s1 + s3), q0 + q2 + (q1 + q3)
}

// NormalSums returns Σ g, Σ h and Σ g·h, with g = scale·dy.
func NormalSums(x, scale, dy []float32, mean, rstd float32) (g, h, dot float64) {
	for i := 0; i < len(x); i += block {
		n := min(i+block, len(x))
		a, b, c := normalSumsBlock(x[i:n], scale[i:n], dy[i:n], mean, rstd)
		g += float64(a)
		h += float64(b)
		dot += float64(c)
	}
	return g, h, dot
}

func normalSumsBlock(x, scale, dy []float32, mean, rstd float32) (g, h, dot float32) {
	if len(x) < width {
		for i, v := range x {
			gi, hi := float32(dy[i]*scale[i]), float32((v-mean)*rstd)
			g += gi
			h += hi
			dot += float32(gi * hi)
		}
		return g, h, dot
	}
	var lanes threeLanes
	i := normalLanes(&lanes, x, scale, dy, mean, rstd)
	for ; i < len(x); i++ {
		gi, hi := float32(dy[i]*scale[i]), float32((x[i]-mean)*rstd)
		lanes[0][i%width] += gi
		lanes[1][i%width] += hi
		lanes[2][i%width] += float32(gi * hi)
	}
	return tree(&lanes[0]), tree(&lanes[1]), tree(&lanes[2])
}
