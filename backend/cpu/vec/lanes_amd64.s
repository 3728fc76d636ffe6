//go:build amd64 && !noasm

#include "textflag.h"

// func ask(x *byte, n int)
// Asks for the lines of n bytes, n ≥ 1.
TEXT ·ask(SB), NOSPLIT, $0-16
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	ADDQ SI, CX
	ANDQ $~63, SI

next:
	PREFETCHT0 (SI)
	ADDQ       $64, SI
	CMPQ       SI, CX
	JLT        next
	RET

// func sumLanes32(lanes *[32]float32, x *float32, n int)
// lanes[j] += x[i], j = i mod 32; n is a multiple of 32, at least 32.
TEXT ·sumLanes32(SB), NOSPLIT, $0-24
	MOVQ lanes+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS 64(DI), Y2
	VMOVUPS 96(DI), Y3

loop:
	VADDPS (SI), Y0, Y0
	VADDPS 32(SI), Y1, Y1
	VADDPS 64(SI), Y2, Y2
	VADDPS 96(SI), Y3, Y3
	ADDQ   $128, SI
	SUBQ   $32, CX
	JNZ    loop

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VZEROUPPER
	RET

// func tree32(lanes *[32]float32) float32
// lanes[j] += lanes[j+n] for n = 16, 8, 4, 2, 1 and all j < n; returns lanes[0].
TEXT ·tree32(SB), NOSPLIT, $0-12
	MOVQ lanes+0(FP), DI
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VADDPS  64(DI), Y0, Y0
	VADDPS  96(DI), Y1, Y1
	VADDPS  Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS  X1, X0, X0
	VMOVHLPS X0, X0, X1
	VADDPS  X1, X0, X0
	VMOVSHDUP X0, X1
	VADDSS  X1, X0, X0
	VMOVSS  X0, ret+8(FP)
	VZEROUPPER
	RET

// func maxLanes32(lanes *[32]float32, x *float32, n int)
// lanes[j] = x[i] if x[i] > lanes[j]; n is a multiple of 32, at least 32.
// VMAXPS returns its second source, here the lane, for a NaN.
TEXT ·maxLanes32(SB), NOSPLIT, $0-24
	MOVQ lanes+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS 64(DI), Y2
	VMOVUPS 96(DI), Y3

loop:
	VMOVUPS (SI), Y4
	VMOVUPS 32(SI), Y5
	VMOVUPS 64(SI), Y6
	VMOVUPS 96(SI), Y7
	VMAXPS  Y0, Y4, Y0
	VMAXPS  Y1, Y5, Y1
	VMAXPS  Y2, Y6, Y2
	VMAXPS  Y3, Y7, Y3
	ADDQ    $128, SI
	SUBQ    $32, CX
	JNZ     loop

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VZEROUPPER
	RET

// func columns32(sum, x *float32, rows, stride int)
// sum[0:32] += the rows of x, stride floats apart; rows is at least 1.
TEXT ·columns32(SB), NOSPLIT, $0-32
	MOVQ sum+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ rows+16(FP), CX
	MOVQ stride+24(FP), DX
	SHLQ $2, DX
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS 64(DI), Y2
	VMOVUPS 96(DI), Y3

loop:
	VADDPS (SI), Y0, Y0
	VADDPS 32(SI), Y1, Y1
	VADDPS 64(SI), Y2, Y2
	VADDPS 96(SI), Y3, Y3
	ADDQ   DX, SI
	DECQ   CX
	JNZ    loop

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VZEROUPPER
	RET

// func columns8(sum, x *float32, rows, stride int)
// sum[0:8] += the rows of x, stride floats apart; rows is at least 1.
TEXT ·columns8(SB), NOSPLIT, $0-32
	MOVQ sum+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ rows+16(FP), CX
	MOVQ stride+24(FP), DX
	SHLQ $2, DX
	VMOVUPS (DI), Y0

loop:
	VADDPS (SI), Y0, Y0
	ADDQ   DX, SI
	DECQ   CX
	JNZ    loop

	VMOVUPS Y0, (DI)
	VZEROUPPER
	RET

// func squareLanes8(lanes *[8]float64, x *float32, n int)
// lanes[j] += x[i]², j = i mod 8; n is a multiple of 8, at least 8.
TEXT ·squareLanes8(SB), NOSPLIT, $0-24
	MOVQ lanes+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VMOVUPD (DI), Y0
	VMOVUPD 32(DI), Y1

loop:
	VCVTPS2PD (SI), Y2
	VCVTPS2PD 16(SI), Y3
	VMULPD    Y2, Y2, Y2
	VMULPD    Y3, Y3, Y3
	VADDPD    Y2, Y0, Y0
	VADDPD    Y3, Y1, Y1
	ADDQ      $32, SI
	SUBQ      $8, CX
	JNZ       loop

	VMOVUPD Y0, (DI)
	VMOVUPD Y1, 32(DI)
	VZEROUPPER
	RET

// func deviationLanes32(lanes *[2][32]float32, x *float32, n int, mean float32)
// With d = x[i] − mean and j = i mod 32: lanes[0][j] += d, lanes[1][j] += d²; n is a
// multiple of 32, at least 32.
TEXT ·deviationLanes32(SB), NOSPLIT, $0-28
	MOVQ lanes+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS mean+24(FP), Y8
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS 64(DI), Y2
	VMOVUPS 96(DI), Y3
	VMOVUPS 128(DI), Y4
	VMOVUPS 160(DI), Y5
	VMOVUPS 192(DI), Y6
	VMOVUPS 224(DI), Y7
	PCALIGN $32

loop:
	VMOVUPS (SI), Y9
	VMOVUPS 32(SI), Y10
	VMOVUPS 64(SI), Y11
	VMOVUPS 96(SI), Y12
	VSUBPS  Y8, Y9, Y9
	VSUBPS  Y8, Y10, Y10
	VSUBPS  Y8, Y11, Y11
	VSUBPS  Y8, Y12, Y12
	VADDPS  Y9, Y0, Y0
	VADDPS  Y10, Y1, Y1
	VADDPS  Y11, Y2, Y2
	VADDPS  Y12, Y3, Y3
	VMULPS  Y9, Y9, Y9
	VMULPS  Y10, Y10, Y10
	VMULPS  Y11, Y11, Y11
	VMULPS  Y12, Y12, Y12
	VADDPS  Y9, Y4, Y4
	VADDPS  Y10, Y5, Y5
	VADDPS  Y11, Y6, Y6
	VADDPS  Y12, Y7, Y7
	ADDQ    $128, SI
	SUBQ    $32, CX
	JNZ     loop

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VMOVUPS Y4, 128(DI)
	VMOVUPS Y5, 160(DI)
	VMOVUPS Y6, 192(DI)
	VMOVUPS Y7, 224(DI)
	VZEROUPPER
	RET

// func normalLanes32(lanes *[3][32]float32, x, scale, dy *float32, n int, mean, rstd float32)
// With g = scale[i]·dy[i], h = (x[i] − mean)·rstd and j = i mod 32: lanes[0][j] += g,
// lanes[1][j] += h, lanes[2][j] += g·h; n is a multiple of 32, at least 32.
TEXT ·normalLanes32(SB), NOSPLIT, $0-48
	MOVQ lanes+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ scale+16(FP), R8
	MOVQ dy+24(FP), R9
	MOVQ n+32(FP), CX
	VBROADCASTSS mean+40(FP), Y12
	VBROADCASTSS rstd+44(FP), Y13
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS 64(DI), Y2
	VMOVUPS 96(DI), Y3
	VMOVUPS 128(DI), Y4
	VMOVUPS 160(DI), Y5
	VMOVUPS 192(DI), Y6
	VMOVUPS 224(DI), Y7
	VMOVUPS 256(DI), Y8
	VMOVUPS 288(DI), Y9
	VMOVUPS 320(DI), Y10
	VMOVUPS 352(DI), Y11
	XORQ    AX, AX
	PCALIGN $32

loop:
	VMOVUPS (R9)(AX*4), Y14
	VMULPS  (R8)(AX*4), Y14, Y14
	VMOVUPS (SI)(AX*4), Y15
	VSUBPS  Y12, Y15, Y15
	VMULPS  Y13, Y15, Y15
	VADDPS  Y14, Y0, Y0
	VADDPS  Y15, Y4, Y4
	VMULPS  Y15, Y14, Y14
	VADDPS  Y14, Y8, Y8
	VMOVUPS 32(R9)(AX*4), Y14
	VMULPS  32(R8)(AX*4), Y14, Y14
	VMOVUPS 32(SI)(AX*4), Y15
	VSUBPS  Y12, Y15, Y15
	VMULPS  Y13, Y15, Y15
	VADDPS  Y14, Y1, Y1
	VADDPS  Y15, Y5, Y5
	VMULPS  Y15, Y14, Y14
	VADDPS  Y14, Y9, Y9
	VMOVUPS 64(R9)(AX*4), Y14
	VMULPS  64(R8)(AX*4), Y14, Y14
	VMOVUPS 64(SI)(AX*4), Y15
	VSUBPS  Y12, Y15, Y15
	VMULPS  Y13, Y15, Y15
	VADDPS  Y14, Y2, Y2
	VADDPS  Y15, Y6, Y6
	VMULPS  Y15, Y14, Y14
	VADDPS  Y14, Y10, Y10
	VMOVUPS 96(R9)(AX*4), Y14
	VMULPS  96(R8)(AX*4), Y14, Y14
	VMOVUPS 96(SI)(AX*4), Y15
	VSUBPS  Y12, Y15, Y15
	VMULPS  Y13, Y15, Y15
	VADDPS  Y14, Y3, Y3
	VADDPS  Y15, Y7, Y7
	VMULPS  Y15, Y14, Y14
	VADDPS  Y14, Y11, Y11
	ADDQ    $32, AX
	CMPQ    AX, CX
	JLT     loop

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VMOVUPS Y4, 128(DI)
	VMOVUPS Y5, 160(DI)
	VMOVUPS Y6, 192(DI)
	VMOVUPS Y7, 224(DI)
	VMOVUPS Y8, 256(DI)
	VMOVUPS Y9, 288(DI)
	VMOVUPS Y10, 320(DI)
	VMOVUPS Y11, 352(DI)
	VZEROUPPER
	RET
