package vec

// The loops of batch normalisation run along a row; all but x and dy are one
// element per column.

// AddMoments computes sum += d and squares += d², d = x − center.
func AddMoments(sum, squares, x, center []float32) {
	i := addMomentsAsm(sum, squares, x, center)
	for ; i < len(sum); i++ {
		d := x[i] - center[i]
		sum[i] += d
		squares[i] += float32(d * d)
	}
}

// AddDots computes sum += dy and dot += dy·(x − center).
func AddDots(sum, dot, dy, x, center []float32) {
	i := addDotsAsm(sum, dot, dy, x, center)
	for ; i < len(sum); i++ {
		sum[i] += dy[i]
		dot[i] += float32(dy[i] * (x[i] - center[i]))
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

// The loops of layer normalisation: mean and rstd are those of the row.

// Squares computes dst = (x − mean)².
func Squares(dst, x []float32, mean float32) {
	i := squaresAsm(dst, x, mean)
	for ; i < len(dst); i++ {
		d := x[i] - mean
		dst[i] = d * d
	}
}

// MulNormal computes dst = a·(x − mean)·rstd.
func MulNormal(dst, a, x []float32, mean, rstd float32) {
	i := mulNormalAsm(dst, a, x, mean, rstd)
	for ; i < len(dst); i++ {
		dst[i] = a[i] * float32((x[i]-mean)*rstd)
	}
}

// AddMulNormal computes dst += a·(x − mean)·rstd.
func AddMulNormal(dst, a, x []float32, mean, rstd float32) {
	i := addMulNormalAsm(dst, a, x, mean, rstd)
	for ; i < len(dst); i++ {
		dst[i] += float32(a[i] * float32((x[i]-mean)*rstd))
	}
}

// NormaliseRow computes y = (x − mean)·rstd·scale + shift.
func NormaliseRow(y, x, scale, shift []float32, mean, rstd float32) {
	i := normaliseRowAsm(y, x, scale, shift, mean, rstd)
	for ; i < len(y); i++ {
		y[i] = mad(float32((x[i]-mean)*rstd), scale[i], shift[i])
	}
}

// NormaliseRowGrad computes dx = rstd·(scale·dy − a − b·(x − mean)·rstd).
func NormaliseRowGrad(dx, dy, x, scale []float32, mean, rstd, a, b float32) {
	i := normaliseRowGradAsm(dx, dy, x, scale, mean, rstd, a, b)
	for ; i < len(dx); i++ {
		d := float32(float32((x[i]-mean)*rstd) * b)
		dx[i] = (float32(dy[i]*scale[i]) - a - d) * rstd
	}
}
