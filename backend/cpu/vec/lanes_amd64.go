//go:build amd64 && !noasm

package vec

import "golang.org/x/sys/cpu"

// useAsm is false on CPUs without AVX2; tests clear it to see the Go loops.
var useAsm = cpu.X86.HasAVX2

//go:noescape
func ask(x *byte, n int)

//go:noescape
func sumLanes32(lanes *[width]float32, x *float32, n int)

//go:noescape
func tree32(lanes *[width]float32) float32

//go:noescape
func maxLanes32(lanes *[width]float32, x *float32, n int)

//go:noescape
func columns32(sum, x *float32, rows, stride int)

//go:noescape
func columns8(sum, x *float32, rows, stride int)

//go:noescape
func squareLanes8(lanes *[8]float64, x *float32, n int)

//go:noescape
func deviationLanes32(lanes *twoLanes, x *float32, n int, mean float32)

//go:noescape
func normalLanes32(lanes *threeLanes, x, scale, dy *float32, n int, mean, rstd float32)

func squareLanes(lanes *[8]float64, x []float32) int {
	n := len(x) &^ 7
	if n == 0 || !useAsm {
		return 0
	}
	squareLanes8(lanes, &x[0], n)
	return n
}

func sumLanes(lanes *[width]float32, x []float32) int {
	n := len(x) &^ (width - 1)
	if n == 0 || !useAsm {
		return 0
	}
	sumLanes32(lanes, &x[0], n)
	return n
}

func deviationLanes(lanes *twoLanes, x []float32, mean float32) int {
	n := len(x) &^ (width - 1)
	if n == 0 || !useAsm {
		return 0
	}
	deviationLanes32(lanes, &x[0], n, mean)
	return n
}

func normalLanes(lanes *threeLanes, x, scale, dy []float32, mean, rstd float32) int {
	n := len(x) &^ (width - 1)
	if n == 0 || !useAsm {
		return 0
	}
	_, _ = scale[n-1], dy[n-1]
	normalLanes32(lanes, &x[0], &scale[0], &dy[0], n, mean, rstd)
	return n
}

func maxLanes(lanes *[width]float32, x []float32) int {
	n := len(x) &^ (width - 1)
	if n == 0 || !useAsm {
		return 0
	}
	maxLanes32(lanes, &x[0], n)
	return n
}

// sumColumns32 adds rows of 32 columns; it reports whether it did.
func sumColumns32(sum, x []float32, rows, stride int) bool {
	if !useAsm {
		return false
	}
	_, _ = sum[width-1], x[(rows-1)*stride+width-1]
	columns32(&sum[0], &x[0], rows, stride)
	return true
}

// sumColumns8 adds rows of 8 columns; it reports whether it did.
func sumColumns8(sum, x []float32, rows, stride int) bool {
	if !useAsm {
		return false
	}
	_, _ = sum[7], x[(rows-1)*stride+7]
	columns8(&sum[0], &x[0], rows, stride)
	return true
}
