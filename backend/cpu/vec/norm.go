package vec

// The loops of batch normalisation run along a row; all but x and dy are one
// element per column.

// AddSquares computes sum += (x − mean)².
func AddSquares(sum, x, mean []float32) {
	i := addSquaresAsm(sum, x, mean)
	for ; i < len(sum); i++ {
		d := x[i] - mean[i]
		sum[i] += float32(d * d)
	}
}

// AddProducts computes sum += dy·(x − mean).
func AddProducts(sum, dy, x, mean []float32) {
	i := addProductsAsm(sum, dy, x, mean)
	for ; i < len(sum); i++ {
		sum[i] += float32(dy[i] * (x[i] - mean[i]))
	}
}

// Normalise computes y = (x − mean)·scale + shift.
func Normalise(y, x, mean, scale, shift []float32) {
	i := normaliseAsm(y, x, mean, scale, shift)
	for ; i < len(y); i++ {
		y[i] = mad(x[i]-mean[i], scale[i], shift[i])
	}
}

// NormaliseGrad computes dx = scale·(dy − a − b·(x − mean)).
func NormaliseGrad(dx, dy, x, mean, scale, a, b []float32) {
	i := normaliseGradAsm(dx, dy, x, mean, scale, a, b)
	for ; i < len(dx); i++ {
		dx[i] = (dy[i] - a[i] - float32((x[i]-mean[i])*b[i])) * scale[i]
	}
}
