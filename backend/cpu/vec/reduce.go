package vec

import "math"

// width is the number of running results of a reduction: element i goes to
// lane i mod width, whatever the vector length of the machine.
const width = 32

// Sum returns the sum of x in float32: lane by lane, then the lanes as a tree.
func Sum(x []float32) float32 {
	var lanes [width]float32
	i := sumLanes(&lanes, x)
	for ; i < len(x); i++ {
		lanes[i%width] += x[i]
	}
	for n := width / 2; n > 0; n /= 2 {
		for j := range n {
			lanes[j] += lanes[j+n]
		}
	}
	return lanes[0]
}

// Max returns the largest element of x that is not NaN, or −Inf.
func Max(x []float32) float32 {
	lanes := [width]float32{}
	for j := range lanes {
		lanes[j] = float32(math.Inf(-1))
	}
	i := maxLanes(&lanes, x)
	best := lanes[0]
	for _, v := range lanes {
		if v > best {
			best = v
		}
	}
	for ; i < len(x); i++ {
		if x[i] > best {
			best = x[i]
		}
	}
	return best
}

// SumColumns adds the rows of x [rows, len(sum)] to sum, in order.
func SumColumns(sum, x []float32, rows int) {
	c := len(sum)
	first := 0
	for ; first+width <= c && rows > 0; first += width {
		if !sumColumns32(sum[first:], x[first:], rows, c) {
			break
		}
	}
	for ; first+8 <= c && rows > 0; first += 8 {
		if !sumColumns8(sum[first:], x[first:], rows, c) {
			break
		}
	}
	if first == c {
		return
	}
	for r := range rows {
		row := x[r*c : (r+1)*c]
		for j := first; j < c; j++ {
			sum[j] += row[j]
		}
	}
}

// SumSquares returns Σ x² in float64, which cannot overflow.
func SumSquares(x []float32) float64 {
	var s [4]float64
	i := 0
	for ; i+4 <= len(x); i += 4 {
		for j, v := range x[i : i+4 : i+4] {
			s[j] += float64(float64(v) * float64(v))
		}
	}
	for ; i < len(x); i++ {
		s[i%4] += float64(float64(x[i]) * float64(x[i]))
	}
	return (s[0] + s[2]) + (s[1] + s[3])
}
