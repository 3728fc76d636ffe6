// Sums over the rows of a matrix, for each column.
#pragma once
#include "common.cuh"

// merge_rows merges what the rows of a block's threads have of each column, as a
// tree, into the first row's.
template <class S>
DEVICE void merge_rows(S& sum, const S& zero, typename S::T* shared, int row, int height, int width) {
  for (int half = height / 2; half > 0; half /= 2) {
    __syncthreads();
    if (row >= half && row < 2 * half) sum.store(shared + threadIdx.x - half * width, threads);
    __syncthreads();
    if (row < half) {
      S other = zero;
      other.load(shared + threadIdx.x, threads);
      sum.merge(other);
    }
  }
}

// A block of column_reduce takes `width` neighbouring columns, at most 32, and
// 256/width rows at a time, so that a warp reads whole lines of memory; blockIdx.x
// names the columns, blockIdx.y the part of the rows. Each part is reduced within
// its block and written to scratch [parts, N, cols]; the last block of the columns
// to end merges the parts. So the result depends on the number of parts, and on nothing
// else.
//
// A thread adds up rows, as S does; then a tree over the threads of a column. Parts are
// shared among these threads in turn, then a tree again. So with Sums no row's term is
// rounded to float32 more often than
//   h = 128 + 2*(log2(height) + 1),  height = 256/width
// times, and the result is off by at most gamma(h) times the sum of absolute values.
//
// S is what is summed up, with N numbers of type T:
//   add(r, c)        one element
//   close()          there are no more
//   merge(other)     another S, closed
//   load(p, stride), store(p, stride)   N numbers, so far apart
//   finish(c)        what becomes of the total of column c
template <class S>
DEVICE void column_reduce(S zero, i64 rows, int cols, typename S::T* scratch, u32* counters) {
  __shared__ typename S::T shared[threads * S::N];
  int width = 1;
  while (width < 32 && width < cols) width *= 2;
  int lane = threadIdx.x % width, row = threadIdx.x / width, height = threads / width;
  int c = blockIdx.x * width + lane;
  i64 part = (rows + gridDim.y - 1) / gridDim.y;
  i64 first = blockIdx.y * part, last = first + part < rows ? first + part : rows;
  S sum = zero;
  if (c < cols)
    for (i64 r = first + row; r < last; r += height) sum.add(r, c);
  sum.close();
  merge_rows(sum, zero, shared, row, height, width);
  if (gridDim.y == 1) {
    if (row == 0 && c < cols) sum.finish(c);
    return;
  }
  if (row == 0 && c < cols) sum.store(scratch + i64(blockIdx.y) * S::N * cols + c, cols);
  if (!last_block(counters + blockIdx.x, gridDim.y)) return;
  S total = zero;
  if (c < cols)
    for (u32 p = row; p < gridDim.y; p += height) {
      S other = zero;
      other.load(scratch + i64(p) * S::N * cols + c, cols);
      total.merge(other);
    }
  merge_rows(total, zero, shared, row, height, width);
  if (row == 0 && c < cols) total.finish(c);
}

// Sums is N plain sums: runs of 128 terms in float32, and the runs in float64. What adds
// to v calls next after each row.
template <int COUNT>
struct Sums {
  using T = float;
  static constexpr int N = COUNT;
  float v[COUNT];  // of the run at hand
  double total[COUNT] = {};
  int terms = 0;
  DEVICE void next() {
    if (++terms == run) close();
  }
  DEVICE void close() {
    for (int i = 0; i < N; i++) total[i] += v[i], v[i] = 0;
    terms = 0;
  }
  DEVICE void merge(const Sums& o) {
    for (int i = 0; i < N; i++) total[i] += o.total[i];
  }
  DEVICE void store(float* p, i64 stride) const {
    for (int i = 0; i < N; i++) p[i * stride] = float(total[i]);
  }
  DEVICE void load(const float* p, i64 stride) {
    for (int i = 0; i < N; i++) total[i] = p[i * stride];
  }
};
