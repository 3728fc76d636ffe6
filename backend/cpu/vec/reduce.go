package vec

import "math"

// width is the number of running results of a reduction: element i goes to
// lane i mod width, whatever the vector length of the machine.
const width = 32

// block is the most elements that are added up in float32 alone: 128 to a lane.
const block = 4096

// Sum returns the sum of x, in blocks.
//
// Each block is added up in float32, lane by lane, then the lanes as a tree; fewer
// than width elements in order. Sums of blocks are added in float64, and the total
// is rounded once. So the result is off by at most γ_134 Σ|x|, however long x is:
// 128 roundings in a lane, 5 in the tree, the last. Of up to 4096 elements around
// one value, whose lanes round independently, it is a few units in the last place.
//
// Source: Higham, Accuracy and Stability of Numerical Algorithms, 2002, §4.2.
func Sum(x []float32) float32 {
	if len(x) < width {
		sum := float32(0)
		for _, v := range x {
			sum += v
		}
		return sum
	}
	if len(x) > block {
		return sumBlocks(x)
	}
	var lanes [width]float32
	i := sumLanes(&lanes, x)
	for ; i < len(x); i++ {
		lanes[i%width] += x[i]
	}
	return tree(&lanes)
}

func sumBlocks(x []float32) float32 {
	total := 0.0
	for i := 0; i < len(x); i += block {
		total += float64(Sum(x[i:min(i+block, len(x))]))
	}
	return float32(total)
}

// tree adds up lanes, halves until one is left.
func tree(lanes *[width]float32) float32 {
	if useAsm {
		return tree32(lanes)
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
	best, i := float32(math.Inf(-1)), 0
	if len(x) >= width {
		var lanes [width]float32
		for j := range lanes {
			lanes[j] = best
		}
		i = maxLanes(&lanes, x)
		best = greatest(best, lanes[:])
	}
	return greatest(best, x[i:])
}

func greatest(best float32, x []float32) float32 {
	for _, v := range x {
		if v > best {
			best = v
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

// SumSquares returns Σ x² in float64, which cannot overflow: element i goes to
// lane i mod 8, then the lanes as a tree.
func SumSquares(x []float32) float64 {
	var lanes [8]float64
	i := squareLanes(&lanes, x)
	for ; i < len(x); i++ {
		lanes[i%8] += float64(float64(x[i]) * float64(x[i]))
	}
	for n := 4; n > 0; n /= 2 {
		for j := range n {
			lanes[j] += lanes[j+n]
		}
	}
	return lanes[0]
}
