// Ops that compose: maps of expressions, reductions, permutations, products of many
// matrices.
#include "rows.cuh"

// Dims are the dims of a tensor, the last one first; those behind `rank` are not there.
struct Dims {
  int rank;
  Divisor size[8];

  // at returns where element i is in a tensor in which a step along dim k moves on by
  // strides[k].
  DEVICE i64 at(i64 i, const int* strides) const {
    i64 where = 0;
    for (int k = 0; k + 1 < rank; k++) {
      i64 next = (i >> 31) == 0 ? size[k].div(int(i)) : i / size[k].d;
      where += (i - next * size[k].d) * strides[k];
      i = next;
    }
    return rank > 0 ? where + i * strides[rank - 1] : where;
  }
};

// As ir.Fn.
enum Fn {
  FN_ADD, FN_SUB, FN_MUL, FN_DIV, FN_MAX, FN_MIN, FN_GT, FN_GE, FN_EQ, FN_SELECT,
  FN_NEG, FN_ABS, FN_SQRT, FN_EXP, FN_LOG, FN_TANH, FN_SIGMOID, FN_ERF
};

constexpr int map_inputs = 16, map_calls = 192, map_numbers = 64, map_registers = 24;

// A Formula is an expression. An operand is 8 bits: below 64 a register, below 128 an
// input, else a number. Code is a word for each call, from the lowest byte on the first,
// second and third operand, and from bit 24 on the function; `to` has the register of
// its result. At each launch they are the same for all threads.
struct Formula {
  int calls, result;
  int code[map_calls];
  int to[map_calls / 4];
  float numbers[map_numbers];
};

// Inputs say which inputs are broadcast, a bit for each, and how.
struct Inputs {
  int spread;
  int strides[map_inputs][8];
};

// Floats are the inputs of a map.
#define X(i) const float* x##i
#define ALL_X X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11), X(12), X(13), X(14), X(15)

DEVICE float call(int fn, float a, float b, float c) {
  switch (fn) {
    case FN_ADD: return a + b;
    case FN_SUB: return a - b;
    case FN_MUL: return a * b;
    case FN_DIV: return a / b;
    case FN_MAX: return max_nan(a, b);
    case FN_MIN: return a < b || a != a ? a : b;
    case FN_GT: return a > b;
    case FN_GE: return a >= b;
    case FN_EQ: return a == b;
    case FN_SELECT: return a != 0 ? b : c;
    case FN_NEG: return -a;
    case FN_ABS: return fabsf(a);
    case FN_SQRT: return sqrtf(a);
    case FN_EXP: return expf(a);
    case FN_LOG: return logf(a);
    case FN_TANH: return tanhf(a);
    case FN_SIGMOID: return sigmoid(a);
    case FN_ERF: return erff(a);
    default: return NAN_F;
  }
}

// map -- op Map
//   y[i] = Expr(x0[i], ..., xn[i]), inputs broadcast to the shape of y
// shapes   y f32 [n], of shape dims; inputs f32, those behind the last one null
// aliasing y may be an input that is not broadcast
// launch   grid any, block 256; a thread takes an element, then strides
// sums     none
// repeat   bit-identical
// error    a few units in the last place of each call
// cost     4n bytes for y and each input that is not broadcast; a call is a dozen
//          instructions
// source   as ir.Map
KERNEL(map, threads, float* y, ALL_X, i64 n, Dims dims, Inputs in, Formula f) {
  const float* xs[map_inputs] = {x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14, x15};
  i64 stride = i64(gridDim.x) * blockDim.x;
  float registers[map_registers];
  for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    auto value = [&](int operand) {
      if (operand < 64) return registers[operand];
      if (operand >= 128) return f.numbers[operand - 128];
      operand -= 64;
      return xs[operand][in.spread >> operand & 1 ? dims.at(i, in.strides[operand]) : i];
    };
    for (int k = 0; k < f.calls; k++) {
      u32 code = u32(f.code[k]);
      int fn = code >> 24;
      float a = value(code & 255), b = 0, c = 0;
      if (fn < FN_NEG) b = value(code >> 8 & 255);
      if (fn == FN_SELECT) c = value(code >> 16 & 255);
      registers[u32(f.to[k / 4]) >> (8 * (k % 4)) & 255] = call(fn, a, b, c);
    }
    y[i] = value(f.result);
  }
}

template <bool WARP>
DEVICE void reduce_row(float* y, const float* x, i64 rows, int cols, int largest) {
  Row<WARP> row;
  if (row.r >= rows) return;
  x += row.r * cols;
  RowSum<WARP> sum;
  float best = -INFINITY_F;
  for (int c = row.first; c < cols; c += row.stride) {
    if (largest) best = max_nan(best, x[c]);
    else sum.add(x[c]);
  }
  float v = largest ? max_row<WARP>(best) : sum_row(sum);
  if (row.first == 0) y[row.r] = v;
}

// reduce_warp, reduce_block -- op Reduce over the last axes
//   y[r] = sum_c x[r,c], or the maximum, NaN if one is
// shapes   x f32 [rows, cols], y f32 [rows]
// aliasing none
// launch   a warp for each row of at most 1024 columns, or a block for each row
// sums     f32; columns strided in a thread, in runs of 128 that are added in f64; then a
//          tree
// repeat   bit-identical
// error    <= gamma(h) * sum_c |x[r,c]|, h <= 128 + 10
// cost     4*rows*cols bytes: memory bound
// source   as ir.Reduce
KERNEL(reduce_warp, threads, float* y, const float* x, i64 rows, int cols, int largest) {
  reduce_row<true>(y, x, rows, cols, largest);
}
KERNEL(reduce_block, threads, float* y, const float* x, i64 rows, int cols, int largest) {
  reduce_row<false>(y, x, rows, cols, largest);
}

// Strides are the steps of a tensor along Dims.
struct Strides {
  int at[8];
};

// reduce_any -- op Reduce over any axes
//   y[i] = sum_j x[kept(i) + gone(j)], or the maximum, NaN if one is
// shapes   x f32, y f32 [n]; kept and gone are the dims of x that stay and that do not
// aliasing none
// launch   grid any, block 256; a thread takes an element of y, then strides
// sums     f32, in order of memory, in runs of 128 that are added in f64
// repeat   bit-identical
// error    <= gamma(129) * sum |x|
// cost     4 bytes for each element of x, with little to do at a time where y is small
// source   as ir.Reduce
KERNEL(reduce_any, threads, float* y, const float* x, i64 n, Dims kept, Strides keeps, i64 m, Dims gone, Strides goes,
       int largest) {
  i64 stride = i64(gridDim.x) * blockDim.x;
  for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    const float* from = x + kept.at(i, keeps.at);
    LongSum sum;
    float best = -INFINITY_F;
    for (i64 j = 0; j < m; j++) {
      float v = from[gone.at(j, goes.at)];
      if (largest) best = max_nan(best, v);
      else sum.add(v);
    }
    y[i] = largest ? best : sum.value();
  }
}

// permute -- op Permute
//   y[i] = x[dims(i)]
// shapes   x, y f32 [n]; dims are those of y, with the steps that they are in x
// aliasing none
// launch   grid any, block 256; a thread takes an element, then strides
// sums     none
// repeat   bit-identical
// error    exact
// cost     8n bytes; reads are not of neighbours where the last axis moves
// source   as ir.Permute
KERNEL(permute, threads, float* y, const float* x, i64 n, Dims dims, Strides strides) {
  i64 stride = i64(gridDim.x) * blockDim.x;
  for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) y[i] = x[dims.at(i, strides.at)];
}

// batch_matmul -- op BatchMatMul
//   y[p,i,j] = sum_k op(a)[p,i,k]*op(b)[p,k,j]
// shapes   y [count,m,n]; a [count,m,k], or [count,k,m] with ta; b [count,k,n], or
//          [count,n,k] with tb; f32
// aliasing none
// launch   grid (m/32, n/32, count), the last strided; block 256: a block computes a
//          tile, each thread four rows of a column
// sums     f32, fused multiply-add, in order of k
// repeat   bit-identical
// error    <= gamma(k) * sum_k |a*b|
// cost     2*count*mnk flop; reads count*mnk/16 floats through the cache
// source   as ir.BatchMatMul
KERNEL(batch_matmul, threads, float* y, const float* a, const float* b, int count, int m, int n, int k, int ta, int tb) {
  constexpr int side = 32, step = threads / side;
  __shared__ float as[side][side + 1], bs[side][side + 1];
  int col = threadIdx.x % side, row = threadIdx.x / side;
  i64 i0 = i64(blockIdx.x) * side, j0 = i64(blockIdx.y) * side;
  for (int p = blockIdx.z; p < count; p += gridDim.z) {
    const float *ap = a + i64(p) * m * k, *bp = b + i64(p) * k * n;
    float sum[side / step] = {0};
    for (int k0 = 0; k0 < k; k0 += side) {
      for (int r = row; r < side; r += step) {
        // Neighbouring threads read neighbours of memory, whichever way it is stored.
        i64 i = i0 + (ta ? col : r), ka = k0 + (ta ? r : col);
        float v = i < m && ka < k ? (ta ? ap[ka * m + i] : ap[i * k + ka]) : 0.0f;
        if (ta) as[col][r] = v;
        else as[r][col] = v;
        i64 j = j0 + (tb ? r : col), kb = k0 + (tb ? col : r);
        v = j < n && kb < k ? (tb ? bp[j * k + kb] : bp[kb * n + j]) : 0.0f;
        if (tb) bs[col][r] = v;
        else bs[r][col] = v;
      }
      __syncthreads();
      for (int q = 0; q < side; q++)
        for (int r = 0; r < side / step; r++) sum[r] = fmaf(as[row + r * step][q], bs[q][col], sum[r]);
      __syncthreads();
    }
    for (int r = 0; r < side / step; r++) {
      i64 i = i0 + row + r * step, j = j0 + col;
      if (i < m && j < n) y[(i64(p) * m + i) * n + j] = sum[r];
    }
  }
}
