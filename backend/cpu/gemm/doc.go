// Package gemm multiplies float32 matrices and convolves images, with the
// elementwise steps that follow fused in.
package gemm
