// Matrix products on tensor cores, in bf16. Needs sm_80.
#include "matrices.cuh"
#include "tensor.cuh"

// matmul_{nn,nt,tn,tt}_bf16_{128x128,64x64} -- op MatMul
//   as in matmul.cu, with factors rounded to bf16
// shapes   as in matmul.cu; all memory is f32
// aliasing none
// launch   grid (m/tile, n/tile, parts), block 128 or 256
// sums     f32 on tensor cores, 16 terms at a time in order of k within a part,
//          parts in order
// repeat   bit-identical for the same cut on one kind of device
// error    <= (2u + k*2^-23) * sum_k |a*b|, u = 2^-8
// cost     2mnk flop; reads mnk/16 to mnk/32 bytes through the cache
// source   as ir.MatMul; PTX ISA, mma.sync.m16n8k16
MATMULS(bf16_128x128, Bf16_128x128)
MATMULS(bf16_64x64, Bf16_64x64)
