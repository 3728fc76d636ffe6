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

// The loops of layer normalisation: mean, rstd and rest are those of the row. mean
// is rounded; rest is what that leaves of it, in units of 1/rstd.

// AddMulNormal computes dst += a·((x − mean)·rstd − rest).
func AddMulNormal(dst, a, x []float32, mean, rstd, rest float32) {
	i := addMulNormalAsm(dst, a, x, mean, rstd, rest)
	for ; i < len(dst); i++ {
		dst[i] += float32(a[i] * (float32((x[i]-mean)*rstd) - rest))
	}
}

// NormaliseRow computes y = ((x − mean)·rstd − rest)·scale + shift.
func NormaliseRow(y, x, scale, shift []float32, mean, rstd, rest float32) {
	i := normaliseRowAsm(y, x, scale, shift, mean, rstd, rest)
	for ; i < len(y); i++ {
		y[i] = mad(float32((x[i]-mean)*rstd)-rest, scale[i], shift[i])
	}
}

// NormaliseRowGrad computes dx = rstd·(scale·dy − a − b·((x − mean)·rstd − rest)).
func NormaliseRowGrad(dx, dy, x, scale []float32, mean, rstd, rest, a, b float32) {
	i := normaliseRowGradAsm(dx, dy, x, scale, mean, rstd, rest, a, b)
	for ; i < len(dx); i++ {
		d := float32((float32((x[i]-mean)*rstd) - rest) * b)
		dx[i] = (float32(dy[i]*scale[i]) - a - d) * rstd
	}
}
