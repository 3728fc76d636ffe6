// Matrix products: loaders for dense matrices.
#pragma once
#include "tile.cuh"

DEVICE float4 zeros() { return make_float4(0, 0, 0, 0); }

// RowsAlongK reads p[outer*ld + k]: a matrix whose rows are sums' terms.
struct RowsAlongK {
  static constexpr bool ALONG_K = true;
  const float* p;
  int size;  // of outer
  i64 ld;
  bool aligned;
  struct Slot {
    const float* row;  // null outside
  };
  DEVICE Slot slot(int outer) const { return {outer < size ? p + outer * ld : nullptr}; }
  DEVICE float4 load(Slot s, int k, int end) const {
    if (!s.row || k >= end) return zeros();
    if (aligned && k + 4 <= end) return *(const float4*)(s.row + k);
    return make_float4(s.row[k], k + 1 < end ? s.row[k + 1] : 0, k + 2 < end ? s.row[k + 2] : 0,
                       k + 3 < end ? s.row[k + 3] : 0);
  }
};

// RowsAcrossK reads p[k*ld + outer]: a matrix that has each k in one row.
struct RowsAcrossK {
  static constexpr bool ALONG_K = false;
  const float* p;
  int size;
  i64 ld;
  bool aligned;
  typedef int Slot;  // outer
  DEVICE Slot slot(int outer) const { return outer; }
  DEVICE float4 load(Slot outer, int k, int end) const {
    if (outer >= size || k >= end) return zeros();
    const float* at = p + k * ld + outer;
    if (aligned && outer + 4 <= size) return *(const float4*)at;
    return make_float4(at[0], outer + 1 < size ? at[1] : 0, outer + 2 < size ? at[2] : 0,
                       outer + 3 < size ? at[3] : 0);
  }
};

// MATMULS defines the four layouts of a multiplier: n as the matrix is written in
// the formula, t transposed.
#define MATMUL(name, M, A, B, lda, ldb)                                                                       \
  KERNEL(name, M::THREADS, float* y, const float* a, const float* b, const float* bias, const float* ref,     \
         Cut cut, int act, float alpha, float* scratch, u32* counters, float* sums) {                         \
    A left = {a, cut.m, lda, (cut.aligned & ALIGNED_A) != 0};                                                 \
    B right = {b, cut.n, ldb, (cut.aligned & ALIGNED_B) != 0};                                                \
    constexpr bool SUMS = !A::ALONG_K && !B::ALONG_K;                                                         \
    tiled<M, SUMS>(left, right, {y, bias, ref, cut.n, act, alpha}, cut, scratch, counters, sums);             \
  }
#define MATMULS(suffix, M)                                             \
  MATMUL(matmul_nn_##suffix, M, RowsAlongK, RowsAcrossK, cut.k, cut.n) \
  MATMUL(matmul_nt_##suffix, M, RowsAlongK, RowsAlongK, cut.k, cut.k)  \
  MATMUL(matmul_tn_##suffix, M, RowsAcrossK, RowsAcrossK, cut.m, cut.n) \
  MATMUL(matmul_tt_##suffix, M, RowsAcrossK, RowsAlongK, cut.m, cut.k)
