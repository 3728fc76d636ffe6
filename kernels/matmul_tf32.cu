// Matrix products on tensor cores, in tf32. Needs sm_80.
#include "matrices.cuh"
#include "tensor.cuh"

// matmul_{nn,nt,tn,tt}_tf32_{128x128,64x64} -- op MatMul
//   as in matmul.cu, with factors rounded to tf32
// shapes   as in matmul.cu; all memory is f32
// aliasing none
// launch   grid (m/tile, n/tile, parts), block 128 or 256
// sums     f32 on tensor cores, 8 terms at a time in order of k within a part,
//          parts in order
// repeat   bit-identical for the same cut on one kind of device
// error    <= (2u + k*2^-23) * sum_k |a*b|, u = 2^-11
// cost     2mnk flop; reads mnk/16 to mnk/32 bytes through the cache
// source   as ir.MatMul; PTX ISA, mma.sync.m16n8k8
MATMULS(tf32_128x128, Tf32_128x128)
MATMULS(tf32_64x64, Tf32_64x64)
