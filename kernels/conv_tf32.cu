// Convolutions on tensor cores, in tf32. Needs sm_80.
#include "conv.cuh"
#include "tensor.cuh"

// conv2d_tf32_{128x128,128x64,128x32,64x64}, conv2d_dx_tf32_, conv2d_dw_tf32_ -- ops Conv2D,
// Conv2DDX, Conv2DDW
//   as in conv.cu, with factors rounded to tf32
// shapes   as in conv.cu; all memory is f32
// aliasing none
// launch   grid (m/tile, n/tile, groups*parts), block 128 or 256
// sums, repeat, error  as in matmul_tf32.cu
// cost     as in conv.cu
// source   as in conv.cu; PTX ISA, mma.sync.m16n8k8
CONVS(tf32_128x128, Tf32_128x128)
CONVS(tf32_128x64, Tf32_128x64)
CONVS(tf32_128x32, Tf32_128x32)
CONVS(tf32_64x64, Tf32_64x64)
