// Softmax, losses, metrics.
#include "rows.cuh"

// A Target is class labels i32 [R] or, when those are null, one value per output,
// f32 [R,C].
struct Target {
  const int* classes;
  const float* values;
  int cols;
  // at returns t[r,c]; for labels that is the one-hot row of r's class.
  DEVICE float at(i64 r, int c) const { return classes ? float(classes[r] == c) : values[r * cols + c]; }
};

// softmax_row computes y = exp(x - max x)/sum exp(x - max x) for one row, and
// returns the maximum and the sum.
struct Shift {
  float max, sum;
};
template <bool WARP>
DEVICE Shift softmax_row(float* y, const float* x, int cols, Row<WARP> row) {
  float m = -INFINITY_F;
  for (int c = row.first; c < cols; c += row.stride) m = max_nan(m, x[c]);
  m = max_row<WARP>(m);
  RowSum<WARP> terms;
  for (int c = row.first; c < cols; c += row.stride) terms.add(expf(x[c] - m));
  float sum = sum_row(terms);
  for (int c = row.first; c < cols; c += row.stride) y[c] = expf(x[c] - m) / sum;
  return {m, sum};
}

template <bool WARP>
DEVICE void softmax(float* y, const float* x, i64 rows, int cols) {
  Row<WARP> row;
  if (row.r < rows) softmax_row<WARP>(y + row.r * cols, x + row.r * cols, cols, row);
}

// softmax_warp, softmax_block -- op Softmax
//   y[r,c] = exp(x[r,c] - max_c x)/sum_c exp(x[r,c] - max_c x)
// shapes   x, y f32 [rows, cols]
// aliasing none; reads x three times, of which two from cache
// launch   block 256; warp: grid rows/8, a warp for each row; block: grid rows
// sums     f32; strided in a thread, in runs of 128 that are added in f64, then a tree
// repeat   bit-identical
// error    <= 2e-5 relative (TestOps; mostly expf of large arguments); of the sum,
//          gamma(137)
// cost     8*rows*cols bytes: memory bound
// source   as ir.Softmax
KERNEL(softmax_warp, threads, float* y, const float* x, i64 rows, int cols) { softmax<true>(y, x, rows, cols); }
KERNEL(softmax_block, threads, float* y, const float* x, i64 rows, int cols) { softmax<false>(y, x, rows, cols); }

template <bool WARP>
DEVICE void softmax_grad(float* dx, const float* y, const float* dy, i64 rows, int cols) {
  Row<WARP> row;
  if (row.r >= rows) return;
  dx += row.r * cols, y += row.r * cols, dy += row.r * cols;
  RowSum<WARP> terms;
  for (int c = row.first; c < cols; c += row.stride) terms.add(dy[c] * y[c]);
  float dot = sum_row(terms);
  for (int c = row.first; c < cols; c += row.stride) dx[c] = y[c] * (dy[c] - dot);
}

// softmax_grad_warp, softmax_grad_block -- op SoftmaxGrad
//   dx = y*(dy - sum_c dy*y)
// shapes   all f32 [rows, cols]
// aliasing none
// launch, sums, repeat  as softmax_warp
// error    <= gamma(139) * sum |dy*y|
// cost     12*rows*cols bytes: memory bound
// source   as ir.SoftmaxGrad
KERNEL(softmax_grad_warp, threads, float* dx, const float* y, const float* dy, i64 rows, int cols) {
  softmax_grad<true>(dx, y, dy, rows, cols);
}
KERNEL(softmax_grad_block, threads, float* dx, const float* y, const float* dy, i64 rows, int cols) {
  softmax_grad<false>(dx, y, dy, rows, cols);
}

// softmax_xent_row writes prob and the loss of one row.
template <bool WARP>
DEVICE void softmax_xent_row(float* prob, const float* x, Target t, int cols, float* losses, Row<WARP> row) {
  const float* xs = x + row.r * cols;
  Shift s = softmax_row<WARP>(prob + row.r * cols, xs, cols, row);
  float log_sum = logf(s.sum);
  RowSum<WARP> sum;
  for (int c = row.first; c < cols; c += row.stride) {
    float tc = t.at(row.r, c);
    // 0 times an infinite distance is 0 here: the class does not count.
    if (tc != 0) sum.add(tc * (log_sum - (xs[c] - s.max)));
  }
  float loss = sum_row(sum);
  if (row.first == 0) losses[row.r] = loss;
}

// mean_of_rows writes the mean of what a block's threads see.
DEVICE void mean_of_rows(float* mean, const float* of, i64 rows) {
  LongSum sum;
  for (i64 r = threadIdx.x; r < rows; r += threads) sum.add(of[r]);
  float total = block_sum(sum.value());
  if (threadIdx.x == 0) *mean = total / float(rows);
}

template <bool WARP>
DEVICE void softmax_xent(float* loss, float* prob, const float* x, Target t, i64 rows, int cols, float* scratch,
                         u32* counter) {
  Row<WARP> row;
  if (row.r < rows) softmax_xent_row<WARP>(prob, x, t, cols, scratch, row);
  if (last_block(counter, gridDim.x)) mean_of_rows(loss, scratch, rows);
}

// softmax_xent_warp, softmax_xent_block -- op SoftmaxXent
//   prob = softmax(x);  l_r = log sum_c exp(x[r,c]-m_r)
//   loss = mean_r sum_c t[r,c]*(l_r - (x[r,c] - m_r)),  m_r = max_c x[r,c]
// shapes   x, prob f32 [rows, cols]; classes i32 [rows] or values f32 [rows, cols],
//          the other null; loss f32 [1]; scratch f32 [rows]
// aliasing none
// launch   block 256; warp: grid rows/8, a warp for each row; block: grid rows
// sums     as softmax_warp; rows by the last block, likewise
// repeat   bit-identical
// error    <= 1e-5 relative (TestOps)
// cost     8*rows*cols bytes: memory bound
// source   as ir.SoftmaxXent
KERNEL(softmax_xent_warp, threads, float* loss, float* prob, const float* x, const int* classes, const float* values,
       i64 rows, int cols, float* scratch, u32* counter) {
  softmax_xent<true>(loss, prob, x, {classes, values, cols}, rows, cols, scratch, counter);
}
KERNEL(softmax_xent_block, threads, float* loss, float* prob, const float* x, const int* classes, const float* values,
       i64 rows, int cols, float* scratch, u32* counter) {
  softmax_xent<false>(loss, prob, x, {classes, values, cols}, rows, cols, scratch, counter);
}

template <bool WARP>
DEVICE void softmax_xent_grad_row(float* dx, const float* prob, Target t, float scale, int cols, Row<WARP> row) {
  RowSum<WARP> terms;
  for (int c = row.first; c < cols; c += row.stride) terms.add(t.at(row.r, c));
  float sum = sum_row(terms);
  for (int c = row.first; c < cols; c += row.stride)
    dx[row.r * cols + c] = (prob[row.r * cols + c] * sum - t.at(row.r, c)) * scale;
}

template <bool WARP>
DEVICE void softmax_xent_grad(float* dx, const float* prob, Target t, const float* dloss, i64 rows, int cols) {
  Row<WARP> row;
  if (row.r < rows) softmax_xent_grad_row<WARP>(dx, prob, t, *dloss / float(rows), cols, row);
}

// softmax_xent_grad_warp, softmax_xent_grad_block -- op SoftmaxXentGrad
//   dx = (prob*sum_c t - t)*dloss/rows
// shapes   dx, prob f32 [rows, cols]; target as softmax_xent_warp; dloss f32 [1]
// aliasing none
// launch, sums, repeat  as softmax_xent_warp
// error    a few units in the last place of 1, times dloss/rows
// cost     8*rows*cols bytes: memory bound
// source   as ir.SoftmaxXentGrad
KERNEL(softmax_xent_grad_warp, threads, float* dx, const float* prob, const int* classes, const float* values,
       const float* dloss, i64 rows, int cols) {
  softmax_xent_grad<true>(dx, prob, {classes, values, cols}, dloss, rows, cols);
}
KERNEL(softmax_xent_grad_block, threads, float* dx, const float* prob, const int* classes, const float* values,
       const float* dloss, i64 rows, int cols) {
  softmax_xent_grad<false>(dx, prob, {classes, values, cols}, dloss, rows, cols);
}

// As in package ir.
enum Loss { NO_LOSS, SQUARED_ERROR, ABS_ERROR, HUBER, SIGMOID_XENT };

DEVICE float point(int loss, float delta, float x, float t) {
  float d = fabsf(x - t);
  switch (loss) {
    case SQUARED_ERROR: return d * d;
    case ABS_ERROR: return d;
    case SIGMOID_XENT: return max_nan(x, 0) - x * t + log1pf(expf(-fabsf(x)));
    default: return d <= delta ? 0.5f * d * d : delta * d - 0.5f * delta * delta;
  }
}

// point_loss -- op PointLoss
//   loss = 1/n sum_i l(x[i], t[i])
// shapes   x, t f32 [n]; loss f32 [1]; scratch f32 [gridDim.x]
// aliasing none
// launch   grid any, block 256
// sums     f32; strided in a thread, in runs of 128 that are added in f64, then a tree;
//          blocks by the last one, likewise
// repeat   bit-identical for the same grid
// error    <= gamma(152) relative
// cost     8n bytes: memory bound
// source   as ir.PointLoss
KERNEL(point_loss, threads, float* out, const float* x, const float* t, i64 n, int loss, float delta, float* scratch,
       u32* counter) {
  LongSum terms;
  i64 stride = i64(gridDim.x) * threads;
  for (i64 i = i64(blockIdx.x) * threads + threadIdx.x; i < n; i += stride) terms.add(point(loss, delta, x[i], t[i]));
  float sum = block_sum(terms.value());
  if (threadIdx.x == 0) scratch[blockIdx.x] = sum;
  if (!last_block(counter, gridDim.x)) return;
  float total = 0;
  for (u32 b = threadIdx.x; b < gridDim.x; b += threads) total += scratch[b];
  total = block_sum(total);
  if (threadIdx.x == 0) *out = total / float(n);
}

// sign returns -1, 0 or 1, and NaN for NaN.
DEVICE float sign(float v) { return v > 0 ? 1.0f : v < 0 ? -1.0f : v; }

DEVICE float point_slope(int loss, float delta, float x, float t) {
  float d = x - t;
  switch (loss) {
    case SQUARED_ERROR: return 2 * d;
    case ABS_ERROR: return sign(d);
    case SIGMOID_XENT: return sigmoid(x) - t;
    default: return fabsf(d) > delta ? delta * sign(d) : d;
  }
}

// point_loss_grad -- op PointLossGrad
//   dx = l'(x,t)*dloss/n
// shapes   dx, x, t f32 [n]; dloss f32 [1]
// aliasing dx may be x or t
// launch   grid any, block 256; a thread takes four elements, then strides
// sums     none
// repeat   bit-identical
// error    a few units in the last place of the largest term
// cost     12n bytes: memory bound
// source   as ir.PointLossGrad
KERNEL(point_loss_grad, threads, float* dx, const float* x, const float* t, const float* dloss, i64 n, int loss,
       float delta) {
  float scale = *dloss / float(n);
  map2(dx, x, t, n, [&](float v, float w, i64) { return point_slope(loss, delta, v, w) * scale; });
}

// As in package ir.
enum Metric { NO_METRIC, ACCURACY, TOP_K, BINARY_ACCURACY, MAE, CONFUSION };

// argmax returns, to all lanes of a warp, the index of the first largest element
// of a row, or -1 for one of which softmax would be NaN: one with a NaN, or whose
// largest is infinite.
DEVICE int argmax(const float* row, int cols) {
  float best = -INFINITY_F;
  int at = cols;
  bool nan = false;
  for (int c = threadIdx.x % 32; c < cols; c += 32) {
    float v = row[c];
    nan |= v != v;
    if (v > best || (v == best && at == cols)) best = v, at = c;
  }
  for (int step = 16; step > 0; step /= 2) {
    float other = __shfl_xor_sync(0xffffffffu, best, step);
    int where = __shfl_xor_sync(0xffffffffu, at, step);
    if (other > best || (other == best && where < at)) best = other, at = where;
  }
  return __ballot_sync(0xffffffffu, nan) || best - best != 0 ? -1 : at;
}

// side returns the class of two that v is, split at threshold, or -1 of NaN.
DEVICE int side(float v, float threshold) { return v > threshold ? 1 : v <= threshold ? 0 : -1; }

DEVICE int class_of(Target t, i64 r) { return t.classes ? t.classes[r] : argmax(t.values + r * t.cols, t.cols); }

// rank returns the number of classes before `of` in the order of scores, equal
// ones by index; for no class, more than any.
DEVICE int rank(const float* row, int cols, int of) {
  if (of < 0 || of >= cols) return 0x7fffffff;
  int n = 0;
  for (int c = threadIdx.x % 32; c < cols; c += 32) n += row[c] > row[of] || (row[c] == row[of] && c < of);
  return warp_sum(n);
}

// is_hit reports, to all lanes of a warp, whether a row is right. One without an
// argmax is not.
DEVICE bool is_hit(int kind, const float* row, int cols, int of, int k) {
  int best = argmax(row, cols);
  return best >= 0 && (kind == ACCURACY ? best == of : rank(row, cols, of) < k);
}

// metric -- op Metric, but for Confusion
//   y = batch/positions * sum over rows or elements of the metric
// shapes   x f32 [rows, cols]; classes i32 [rows] or values f32 [rows, cols], the
//          other null; y f32 [1]; scratch f64 [gridDim.x]
// aliasing none
// launch   grid any, block 256; a warp takes a row, then strides
// sums     f64; counts are exact; blocks by the last one in a tree
// repeat   bit-identical for the same grid, counts for any
// error    counts exact
// cost     4*rows*cols bytes: memory bound
// source   as ir.Metric
KERNEL(metric, threads, float* y, const float* x, const int* classes, const float* values, i64 batch, i64 positions,
       i64 rows, int cols, int kind, int k, float threshold, double* scratch, u32* counter) {
  Target t = {classes, values, cols};
  int lane = threadIdx.x % 32;
  double sum = 0;
  i64 warps = i64(gridDim.x) * (threads / 32);
  for (i64 r = i64(blockIdx.x) * (threads / 32) + threadIdx.x / 32; r < rows; r += warps) {
    const float* row = x + r * cols;
    bool first = lane == 0;
    switch (kind) {
      case ACCURACY:
      case TOP_K: {
        bool hit = is_hit(kind, row, cols, class_of(t, r), k);
        sum += first && hit;
        break;
      }
      case BINARY_ACCURACY:
        for (int c = lane; c < cols; c += 32) {
          int of = side(values[r * cols + c], 0.5f);
          sum += side(row[c], threshold) == of && of >= 0;
        }
        break;
      case MAE:
        for (int c = lane; c < cols; c += 32) sum += fabs(double(row[c]) - double(values[r * cols + c]));
        break;
    }
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) scratch[blockIdx.x] = sum;
  if (!last_block(counter, gridDim.x)) return;
  double total = 0;
  for (u32 b = threadIdx.x; b < gridDim.x; b += threads) total += scratch[b];
  total = block_sum(total);
  if (threadIdx.x == 0) *y = float(total * double(batch) / double(positions));
}

// softmax_xent_step -- ops SoftmaxXent, SoftmaxXentGrad, and Metric if hits is not
// null: Accuracy or TopK
//   prob, loss  as softmax_xent_warp;  dx  as softmax_xent_grad_warp
//   hits = batch/rows * number of rows that are right
// shapes   as these; dx f32 [rows, cols], hits f32 [1], scratch f32 [2, rows];
//          cols <= 1024
// aliasing none
// launch   grid rows/8, block 256: a warp for each row
// sums     as softmax_xent_warp; hits exact
// repeat   bit-identical
// error    as these
// cost     12*rows*cols bytes: memory bound
// source   as ir.SoftmaxXent, ir.SoftmaxXentGrad, ir.Metric
KERNEL(softmax_xent_step, threads, float* loss, float* prob, float* dx, float* hits, const float* x,
       const int* classes, const float* values, const float* dloss, i64 rows, int cols, i64 batch, int kind, int k,
       float* scratch, u32* counter) {
  Target t = {classes, values, cols};
  Row<true> row;
  if (row.r < rows) {
    softmax_xent_row<true>(prob, x, t, cols, scratch, row);
    softmax_xent_grad_row<true>(dx, prob, t, *dloss / float(rows), cols, row);
    if (hits) {
      const float* xs = x + row.r * cols;
      int of = class_of(t, row.r);
      bool hit = is_hit(kind, xs, cols, of, k);
      if (row.first == 0) scratch[rows + row.r] = hit;
    }
  }
  if (!last_block(counter, gridDim.x)) return;
  mean_of_rows(loss, scratch, rows);
  if (!hits) return;
  double total = 0;
  for (i64 r = threadIdx.x; r < rows; r += threads) total += scratch[rows + r];
  total = block_sum(total);
  if (threadIdx.x == 0) *hits = float(total * double(batch) / double(rows));
}

// confusion -- op Metric, Confusion
//   y[true class, predicted class] = number of such rows; a NaN is in none
// shapes   x f32 [rows, cols]; target as metric; y f32 [n, n], n = max(cols, 2)
// aliasing none; y holds integers until the end
// launch   grid 1, block 256; a warp takes a row, then strides
// sums     integers, by atomics: exact in any order
// repeat   bit-identical
// error    exact below 2^24
// cost     4*rows*cols + 8*n*n bytes, on one multiprocessor
// source   as ir.Metric
KERNEL(confusion, threads, float* y, const float* x, const int* classes, const float* values, i64 rows, int cols,
       float threshold) {
  Target t = {classes, values, cols};
  u32* counts = (u32*)y;
  int n = cols > 2 ? cols : 2;
  i64 cells = i64(n) * n;
  for (i64 i = threadIdx.x; i < cells; i += threads) counts[i] = 0;
  __syncthreads();
  for (i64 r = threadIdx.x / 32; r < rows; r += threads / 32) {
    int of = class_of(t, r), predicted = argmax(x + r * cols, cols);
    if (cols == 1) {
      predicted = side(x[r], threshold);
      if (!classes) of = side(values[r], 0.5f);
    }
    if (threadIdx.x % 32 == 0 && of >= 0 && of < n && predicted >= 0)
      atomicAdd(counts + i64(of) * n + predicted, 1u);
  }
  __syncthreads();
  for (i64 i = threadIdx.x; i < cells; i += threads) y[i] = float(counts[i]);
}
