// Kernels that work row by row.
#pragma once
#include "common.cuh"

// sum_row returns the sum over a row's threads: a warp or a block.
template <bool WARP, class T>
DEVICE T sum_row(T v) {
  if constexpr (WARP) return warp_sum(v);
  else return block_sum(v);
}

template <bool WARP>
DEVICE float max_row(float v) {
  if constexpr (WARP) return warp_max(v);
  else return block_max(v);
}

// RowSum is what one thread adds up of a row: at most 32 terms in a warp's row, which
// has no more than 1024 columns; any number in a block's.
template <bool WARP>
struct RowSum : LongSum {};
template <>
struct RowSum<true> {
  float part = 0;
  DEVICE void add(float v) { part += v; }
  DEVICE float value() const { return part; }
};

// sum_row of what the threads have added up.
template <bool WARP>
DEVICE float sum_row(const RowSum<WARP>& s) {
  return sum_row<WARP>(s.value());
}

// Row is how the threads of a launch share rows: a warp takes one of a block's
// eight, or a whole block takes one.
template <bool WARP>
struct Row {
  static constexpr int stride = WARP ? 32 : threads;
  i64 r = WARP ? i64(blockIdx.x) * (threads / 32) + threadIdx.x / 32 : blockIdx.x;
  int first = WARP ? threadIdx.x % 32 : threadIdx.x;
};
