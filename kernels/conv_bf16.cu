// Convolutions on tensor cores, in bf16. Needs sm_80.
#include "conv.cuh"
#include "tensor.cuh"

// conv2d_bf16_{128x128,128x64,128x32,64x64}, conv2d_dx_bf16_, conv2d_dw_bf16_ -- ops Conv2D,
// Conv2DDX, Conv2DDW
//   as in conv.cu, with factors rounded to bf16
// shapes   as in conv.cu; all memory is f32
// aliasing none
// launch   grid (m/tile, n/tile, groups*parts), block 128 or 256
// sums, repeat, error  as in matmul_bf16.cu
// cost     as in conv.cu
// source   as in conv.cu; PTX ISA, mma.sync.m16n8k16
CONVS(bf16_128x128, Bf16_128x128)
CONVS(bf16_128x64, Bf16_128x64)
CONVS(bf16_128x32, Bf16_128x32)
CONVS(bf16_64x64, Bf16_64x64)
