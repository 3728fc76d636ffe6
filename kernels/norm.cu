// Layer normalisation, sums for biases, embeddings.
#include "reduce.cuh"
#include "rows.cuh"

struct BiasSums : Sums<1> {
  float* db;
  const float* dy;
  int cols;
  DEVICE void add(i64 r, int c) {
    v[0] += dy[r * cols + c];
    next();
  }
  DEVICE void finish(int c) { db[c] = float(total[0]); }
};

// bias_grad -- op BiasGrad
//   db[c] = sum_r dy[r,c]
// shapes   dy f32 [rows, cols], db f32 [cols]; scratch f32 [parts, cols]
// aliasing none
// launch   grid (columns/width, parts), block 256: see column_reduce
// sums     f32; rows strided in a thread, in runs of 128 that are added in f64, then a
//          tree; then parts likewise
// repeat   bit-identical for the same number of parts
// error    <= gamma(h) * sum_r |dy[r,c]|, h as at column_reduce
// cost     4*rows*cols bytes: memory bound
// source   as ir.BiasGrad
KERNEL(bias_grad, threads, float* db, const float* dy, i64 rows, int cols, float* scratch, u32* counters) {
  BiasSums s = {{{0}}, db, dy, cols};
  column_reduce(s, rows, cols, scratch, counters);
}

template <bool WARP>
DEVICE void layer_norm(float* y, float* mean, float* rstd, const float* x, const float* gamma, const float* beta,
                       i64 rows, int cols, float eps) {
  Row<WARP> row;
  if (row.r >= rows) return;
  x += row.r * cols, y += row.r * cols;
  RowSum<WARP> sum;
  for (int c = row.first; c < cols; c += row.stride) sum.add(x[c]);
  float m = sum_row(sum) / cols, rest, variance;
  for (int pass = 0; pass < 2; pass++) {
    RowSum<WARP> distances, squares;
    for (int c = row.first; c < cols; c += row.stride) {
      float d = x[c] - m;
      distances.add(d), squares.add(d * d);
    }
    float near = m, off = sum_row(distances) / cols;
    variance = sum_row(squares) / cols - off * off;
    m = near + off;
    rest = fabsf(near) < fabsf(off) ? (off - m) + near : (near - m) + off;
    if (!(off * off > variance)) break;
  }
  float s = 1.0f / sqrtf(max_nan(variance, 0) + eps);
  rest *= s;
  for (int c = row.first; c < cols; c += row.stride) y[c] = gamma[c] * ((x[c] - m) * s - rest) + beta[c];
  if (row.first == 0) mean[row.r] = m, rstd[row.r] = s;
}

// layer_norm_warp, layer_norm_block -- op LayerNorm
//   y = gamma*(x-mean)*rstd + beta,  rstd = 1/sqrt(variance+eps), over each row:
//   for a near the mean, mean = a + mean(x-a), variance = mean((x-a)^2) - mean(x-a)^2;
//   once more where a was farther off than a deviation. rest is what rounding leaves
//   of the mean.
// shapes   x, y f32 [rows, cols]; mean, rstd f32 [rows]; gamma, beta f32 [cols]
// aliasing none; reads x three times, of which two from cache
// launch   block 256; warp: grid rows/8, a warp for each row; block: grid rows
// sums     as softmax_warp
// repeat   bit-identical
// error    a few units in the last place of the terms, and half of gamma(139) |gamma*xhat|
//          for rstd, wherever the mean is
// cost     8*rows*cols bytes: memory bound
// source   as ir.LayerNorm; Chan, Golub and LeVeque, Am. Stat. 37 (1983), the corrected
//          two-pass algorithm
KERNEL(layer_norm_warp, threads, float* y, float* mean, float* rstd, const float* x, const float* gamma,
       const float* beta, i64 rows, int cols, float eps) {
  layer_norm<true>(y, mean, rstd, x, gamma, beta, rows, cols, eps);
}
KERNEL(layer_norm_block, threads, float* y, float* mean, float* rstd, const float* x, const float* gamma,
       const float* beta, i64 rows, int cols, float eps) {
  layer_norm<false>(y, mean, rstd, x, gamma, beta, rows, cols, eps);
}

template <bool WARP>
DEVICE void layer_norm_dx(float* dx, float* rest, const float* x, const float* gamma, const float* mean,
                          const float* rstd, const float* dy, i64 rows, int cols) {
  Row<WARP> row;
  if (row.r >= rows) return;
  x += row.r * cols, dy += row.r * cols;
  float m = mean[row.r], s = rstd[row.r];
  RowSum<WARP> sum, off, dot;
  for (int c = row.first; c < cols; c += row.stride) {
    float g = gamma[c] * dy[c], h = (x[c] - m) * s;
    sum.add(g), off.add(h), dot.add(g * h);
  }
  float a = sum_row(sum) / cols, r = sum_row(off) / cols, b = sum_row(dot) / cols - r * a;
  if (row.first == 0) rest[row.r] = r;
  if (!dx) return;
  dx += row.r * cols;
  for (int c = row.first; c < cols; c += row.stride)
    dx[c] = s * (gamma[c] * dy[c] - a - ((x[c] - m) * s - r) * b);
}

// layer_norm_dx_warp, layer_norm_dx_block -- op LayerNormGrad, dx
//   dx = rstd*(g - mean_c(g) - xhat*mean_c(g*xhat)),  g = gamma*dy
//   xhat = (x-mean)*rstd - rest,  rest = mean_c((x-mean)*rstd): mean is rounded
// shapes   dx, x, dy f32 [rows, cols], dx may be null; rest, mean, rstd f32 [rows];
//          gamma f32 [cols]
// aliasing none
// launch, sums, repeat  as layer_norm_warp
// error    <= gamma(142) of the sums' absolute values
// cost     12*rows*cols bytes: memory bound
// source   as ir.LayerNormGrad
KERNEL(layer_norm_dx_warp, threads, float* dx, float* rest, const float* x, const float* gamma, const float* mean,
       const float* rstd, const float* dy, i64 rows, int cols) {
  layer_norm_dx<true>(dx, rest, x, gamma, mean, rstd, dy, rows, cols);
}
KERNEL(layer_norm_dx_block, threads, float* dx, float* rest, const float* x, const float* gamma, const float* mean,
       const float* rstd, const float* dy, i64 rows, int cols) {
  layer_norm_dx<false>(dx, rest, x, gamma, mean, rstd, dy, rows, cols);
}

struct LayerNormSums : Sums<2> {
  float *dgamma, *dbeta;
  const float *x, *mean, *rstd, *rest, *dy;
  int cols;
  DEVICE void add(i64 r, int c) {
    float d = dy[r * cols + c];
    v[0] += d * ((x[r * cols + c] - mean[r]) * rstd[r] - rest[r]);
    v[1] += d;
    next();
  }
  DEVICE void finish(int c) {
    if (dgamma) dgamma[c] = float(total[0]);
    if (dbeta) dbeta[c] = float(total[1]);
  }
};

// layer_norm_sums -- op LayerNormGrad, dgamma and dbeta
//   dbeta = sum_r dy;  dgamma = sum_r dy*xhat,  xhat as layer_norm_dx_warp
// shapes   x, dy f32 [rows, cols]; mean, rstd, rest f32 [rows]; dgamma, dbeta f32 [cols],
//          may be null
// aliasing none
// launch   grid (columns/width, parts), block 256: see column_reduce
// sums, repeat  as bias_grad
// error    <= gamma(h + 4) * sum_r |dy*xhat|
// cost     8*rows*cols bytes: memory bound
// source   as ir.LayerNormGrad
KERNEL(layer_norm_sums, threads, float* dgamma, float* dbeta, const float* x, const float* mean, const float* rstd,
       const float* rest, const float* dy, i64 rows, int cols, float* scratch, u32* counters) {
  LayerNormSums s = {{{0, 0}}, dgamma, dbeta, x, mean, rstd, rest, dy, cols};
  column_reduce(s, rows, cols, scratch, counters);
}

// embedding -- op Embedding
//   y[i,.] = table[ids[i],.], zeros for an id outside [0,vocabulary)
// shapes   y f32 [n, dim], table f32 [vocabulary, dim], ids i32 [n]
// aliasing none
// launch   grid any, block 256; a thread takes an element, then strides
// sums     none
// repeat   bit-identical
// error    exact
// cost     8*n*dim bytes: memory bound
// source   as ir.Embedding
KERNEL(embedding, threads, float* y, const float* table, const int* ids, i64 n, int vocabulary, int dim) {
  i64 stride = i64(gridDim.x) * blockDim.x;
  for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < n * dim; i += stride) {
    i64 row = quotient(i, dim);
    int id = ids[row];
    y[i] = id >= 0 && id < vocabulary ? table[i64(id) * dim + (i - row * dim)] : 0.0f;
  }
}

// embedding_grad -- op EmbeddingGrad
//   dtable[id,.] = sum of dy[i,.] over the i with ids[i] = id
// shapes   dtable f32 [vocabulary, dim], ids i32 [n], dy f32 [n, dim]
// aliasing none
// launch   grid vocabulary/8, block 256: a warp for each row of the table, which
//          looks at 32 ids at a time and sums 128 columns
// sums     f32, in order of i; of each 128 rows, and these in f64
// repeat   bit-identical, the order of ref
// error    <= gamma(129) * sum |dy|
// cost     4*(n + vocabulary)*dim bytes, and n*vocabulary/32 warp steps: those
//          dominate from about n = 1000 on
// source   as ir.EmbeddingGrad
KERNEL(embedding_grad, threads, float* dtable, const int* ids, const float* dy, i64 n, int vocabulary, int dim) {
  int lane = threadIdx.x % 32;
  i64 row = i64(blockIdx.x) * (threads / 32) + threadIdx.x / 32;
  if (row >= vocabulary) return;
  for (int first = lane; first - lane < dim; first += 128) {
    float sum[4] = {0, 0, 0, 0};
    double total[4] = {0, 0, 0, 0};
    int terms = 0;
    for (i64 i = 0; i < n; i += 32) {
      u32 hits = __ballot_sync(0xffffffffu, i + lane < n && ids[i + lane] == row);
      for (; hits; hits &= hits - 1) {
        const float* from = dy + (i + __ffs(hits) - 1) * dim;
        for (int k = 0; k < 4; k++)
          if (first + 32 * k < dim) sum[k] += from[first + 32 * k];
        if (++terms < run) continue;
        for (int k = 0; k < 4; k++) total[k] += sum[k], sum[k] = 0;
        terms = 0;
      }
    }
    for (int k = 0; k < 4; k++)
      if (first + 32 * k < dim) dtable[row * dim + first + 32 * k] = float(total[k] + sum[k]);
  }
}
