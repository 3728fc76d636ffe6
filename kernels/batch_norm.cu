// Batch normalisation.
#include "reduce.cuh"

// norm_lane is the number of elements that a thread adds up in float32 before it goes on in
// float64, so that rounding does not grow with the number of rows, and cards that are slow
// in float64 have little of it.
constexpr int norm_lane = 32;

// Moments are the mean and the sum of squared distances from it, of n elements. A thread
// sums up, for each lane of elements, the distances from the first of them and their
// squares; what all elements have in common, however large, is gone before it is rounded.
struct Moments {
  using T = double;
  static constexpr int N = 3;
  double n, mean, m2;
  float *mean_out, *variance_out;
  double* sums_out;
  const float* x;
  int cols;
  // Of the lane at hand: its first element, k elements, and sums.
  float first, sum, squares;
  int k;
  // Of the lanes before: sums of their means' distances from shift, and of squares.
  double shift, means, all;
  DEVICE void add(i64 r, int c) {
    float v = x[r * cols + c];
    if (k == 0) first = v;
    float d = v - first;
    sum += d;
    squares += d * d;
    if (++k == norm_lane) join(1.0 / norm_lane);
  }
  // join adds the lane at hand, of k elements, to those before.
  DEVICE void join(double inverse) {
    if (n == 0) shift = first;
    double own = double(squares) - double(sum) * double(sum) * inverse;
    double d = double(first) - shift + double(sum) * inverse;
    means += k * d;
    all += (own < 0 ? 0 : own) + k * d * d;
    n += k;
    k = 0, sum = 0, squares = 0;
  }
  DEVICE void close() {
    if (k > 0) join(1.0 / k);
    if (n == 0) return;
    mean = shift + means / n;
    m2 = all - means * means / n;
    if (m2 < 0) m2 = 0;
  }
  DEVICE void merge(const Moments& o) {
    if (o.n == 0) return;
    double total = n + o.n, d = o.mean - mean, share = o.n / total;
    mean += d * share;
    m2 += o.m2 + d * d * n * share;
    n = total;
  }
  DEVICE void store(double* p, i64 stride) const { p[0] = n, p[stride] = mean, p[2 * stride] = m2; }
  DEVICE void load(const double* p, i64 stride) { n = p[0], mean = p[stride], m2 = p[2 * stride]; }
  DEVICE void finish(int c) {
    mean_out[c] = float(mean), variance_out[c] = float(m2 / n);
    if (sums_out) sums_out[c] = mean, sums_out[cols + c] = m2;
  }
};

// batch_norm_stats -- op BatchNorm, first of two
//   mean[c], variance[c] of x[.,c], biased; sums = mean, then sum_r (x-mean)^2
// shapes   x f32 [rows, cols]; mean, variance f32 [cols]; sums f64 [2, cols], may be null;
//          scratch f64 [parts, 3, cols]
// aliasing none
// launch   grid (columns/width, parts), block 256: see column_reduce
// sums     f32 within a lane of a thread, around its first element; f64 for lanes, merged
//          in a tree, then parts in order
// repeat   bit-identical for the same number of parts
// error    of the variance: gamma(34) * sum_r (x-s)^2 / rows, s the first of r's lane, that
//          is twice the variance for elements that are independent
// cost     4*rows*cols bytes, about 5 operations each: memory bound
// source   Chan, Golub and LeVeque, Am. Stat. 37 (1983)
KERNEL(batch_norm_stats, threads, float* mean, float* variance, double* sums, const float* x, i64 rows, int cols,
       double* scratch, u32* counters) {
  Moments s = {0, 0, 0, mean, variance, sums, x, cols, 0, 0, 0, 0, 0, 0, 0};
  column_reduce(s, rows, cols, scratch, counters);
}

// batch_norm_apply -- op BatchNormInfer; op BatchNorm, second of two
//   y = act(gamma*(x-mean)/sqrt(variance+eps) + beta)
// shapes   x, y f32 [n] with n = R*cols; the others f32 [cols]
// aliasing y may be x
// launch   grid any, block 256; a thread takes four elements, then strides
// sums     none
// repeat   bit-identical
// error    a few units in the last place of |gamma*xhat| + |beta|
// cost     8n bytes: memory bound
// source   as ir.BatchNormInfer
KERNEL(batch_norm_apply, threads, float* y, const float* x, const float* gamma, const float* beta, const float* mean,
       const float* variance, i64 n, int cols, float eps, int act, float alpha) {
  columns1(y, x, n, cols, [&](float v, i64, int c) {
    return activate(act, alpha, gamma[c] * ((v - mean[c]) * (1.0f / sqrtf(variance[c] + eps))) + beta[c]);
  });
}

struct BatchNormSums {
  using T = double;
  static constexpr int N = 2;
  double dot, sum;
  float *dgamma, *dbeta;
  double* sums_out;
  const float *x, *mean, *variance, *dy;
  float eps;
  int cols;
  float lane_dot, lane_sum;  // of the lane at hand
  int k;
  DEVICE void add(i64 r, int c) {
    float d = dy[r * cols + c];
    lane_dot += d * (x[r * cols + c] - mean[c]);
    lane_sum += d;
    if (++k == norm_lane) close();
  }
  DEVICE void close() {
    dot += lane_dot, sum += lane_sum;
    k = 0, lane_dot = 0, lane_sum = 0;
  }
  DEVICE void merge(const BatchNormSums& o) { dot += o.dot, sum += o.sum; }
  DEVICE void store(double* p, i64 stride) const { p[0] = dot, p[stride] = sum; }
  DEVICE void load(const double* p, i64 stride) { dot = p[0], sum = p[stride]; }
  DEVICE void finish(int c) {
    if (dgamma) dgamma[c] = float(dot * (1.0 / sqrt(double(variance[c]) + double(eps))));
    if (dbeta) dbeta[c] = float(sum);
    if (sums_out) sums_out[c] = sum, sums_out[cols + c] = dot;
  }
};

// batch_norm_sums -- op BatchNormGrad, first of two
//   dbeta = sum_r dy;  dgamma = sum_r dy*xhat,  xhat = (x-mean)/sqrt(variance+eps)
//   sums = sum_r dy, then sum_r dy*(x-mean)
// shapes   x, dy f32 [rows, cols]; sums f64 [2, cols]; the others f32 [cols]; dgamma, dbeta
//          and sums may be null; scratch f64 [parts, 2, cols]
// aliasing none
// launch   grid (columns/width, parts), block 256: see column_reduce
// sums     f32 within a lane of a thread, f64 for lanes, in a tree, then parts in order
// repeat   bit-identical for the same number of parts
// error    <= gamma(34) * sum_r |dy*xhat|
// cost     8*rows*cols bytes: memory bound
// source   as ir.BatchNormGrad
KERNEL(batch_norm_sums, threads, float* dgamma, float* dbeta, double* sums, const float* x, const float* mean,
       const float* variance, const float* dy, i64 rows, int cols, float eps, double* scratch, u32* counters) {
  BatchNormSums s = {0, 0, dgamma, dbeta, sums, x, mean, variance, dy, eps, cols, 0, 0, 0};
  column_reduce(s, rows, cols, scratch, counters);
}

// batch_norm_dx -- op BatchNormGrad, second of two
//   dx = gamma*rstd*(dy - dbeta/R - xhat*dgamma/R),  rstd = 1/sqrt(variance+eps)
// shapes   dx, x, dy f32 [rows, cols]; the others f32 [cols]
// aliasing dx may be x or dy
// launch   grid any, block 256; a thread takes four elements, then strides
// sums     none
// repeat   bit-identical
// error    a few units in the last place of the largest of the three terms
// cost     12*rows*cols bytes: memory bound
// source   as ir.BatchNormGrad
KERNEL(batch_norm_dx, threads, float* dx, const float* x, const float* gamma, const float* mean, const float* variance,
       const float* dy, const float* dgamma, const float* dbeta, i64 rows, int cols, float eps) {
  float scale = 1.0f / float(rows);
  columns1(dx, x, rows * cols, cols, [&](float v, i64 i, int c) {
    float d = dy[i], rstd = 1.0f / sqrtf(variance[c] + eps);
    return gamma[c] * rstd * (d - dbeta[c] * scale - (v - mean[c]) * rstd * dgamma[c] * scale);
  });
}
