// Matrix products in float32.
#include "matrices.cuh"
#include "simt.cuh"

// matmul_{nn,nt,tn,tt}_{128x128,64x64,32x32} -- op MatMul
//   y[i,j] = epilogue(sum_k op(a)[i,k]*op(b)[k,j])
//   tn also, op BiasGrad: sums[j] = sum_k b[k,j]
// shapes   y [m,n]; a [m,k], or [k,m] when t; b [k,n], or [n,k] when t; bias [n],
//          ref [m,n], sums [n], may be null; f32; scratch f32 [parts, m, n], then
//          with sums [parts, n]
// aliasing none
// launch   grid (m/tile, n/tile, parts), block 64 to 256; a block
//          computes a tile, or a part of its sums
// sums     f32, fused multiply-add; in order of k within a part, parts in order;
//          columns: k strided in a thread, threads in order, parts in order
// repeat   bit-identical for the same cut
// error    <= gamma(k) * sum_k |a*b|
// cost     2mnk flop; reads mnk/32 to mnk/16 bytes through the cache
// source   as ir.MatMul
MATMULS(128x128, Simt128x128)
MATMULS(64x64, Simt64x64)
MATMULS(32x32, Simt32x32)
