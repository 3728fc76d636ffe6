// Poolings of images.
#include "common.cuh"

// Pool is the geometry: x [B,h,w,c], y [B,oh,ow,c], window, strides, padding; see
// poolArg in backend/cuda/plan. The divisors are h, w, c, oh, ow, sh, sw.
struct Pool {
  int h, w, c, oh, ow, kh, kw, sh, sw, pt, pl;
  Divisor by_h, by_w, by_c, by_oh, by_ow, by_sh, by_sw;
};

// Span is a range of indices, first <= i < last.
struct Span {
  int first, last;
};

// inside returns the part of output position i's window that lies in the input.
DEVICE Span inside(int i, int stride, int pad, int kernel, int size) {
  int first = i * stride - pad;
  return {max(first, 0), min(first + kernel, size)};
}

// covering returns the output positions whose windows have input position h.
DEVICE Span covering(int h, Divisor stride, int pad, int kernel, int size) {
  int low = h + pad - kernel + 1;  // i*stride >= low
  return {low <= 0 ? 0 : stride.div(low + stride.d - 1), min(stride.div(h + pad) + 1, size)};
}

// Place is where an element of an image [B,h,w,c] is.
struct Place {
  i64 b;
  int h, w, c;
};
DEVICE Place place(i64 i, Divisor h, Divisor w, Divisor c) {
  if (i >> 31 == 0) {
    int at = int(i), pixel = c.div(at), line = w.div(pixel), b = h.div(line);
    return {b, line - b * h.d, pixel - line * w.d, at - pixel * c.d};
  }
  i64 pixel = i / c.d, line = pixel / w.d;
  return {line / h.d, int(line % h.d), int(pixel % w.d), int(i % c.d)};
}

// each_element calls f(i) for every i < n, over all threads of the grid.
template <class F>
DEVICE void each_element(i64 n, F f) {
  i64 stride = i64(gridDim.x) * blockDim.x;
  for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) f(i);
}

// max_pool -- op MaxPool
//   y = maximum of each window inside x; arg = index in H*W*C of the first one, or
//   of the first NaN
// shapes   x f32 [B,H,W,C]; y f32, arg i32 [B,OH,OW,C], n elements
// aliasing none
// launch   grid any, block 256; a thread takes an output, then strides
// sums     none
// repeat   bit-identical
// error    exact
// cost     4*B*H*W*C + 8n bytes: memory bound
// source   as ir.MaxPool
KERNEL(max_pool, threads, float* y, int* arg, const float* x, Pool s, i64 n) {
  each_element(n, [&](i64 i) {
    Place p = place(i, s.by_oh, s.by_ow, s.by_c);
    Span rows = inside(p.h, s.sh, s.pt, s.kh, s.h), cols = inside(p.w, s.sw, s.pl, s.kw, s.w);
    const float* image = x + p.b * s.h * s.w * s.c;
    int at = (rows.first * s.w + cols.first) * s.c + p.c;
    float best = image[at];
    for (int h = rows.first; h < rows.last; h++)
      for (int w = cols.first; w < cols.last; w++) {
        int here = (h * s.w + w) * s.c + p.c;
        // !(a <= b): a NaN wins, and stays because nothing wins against it.
        if (best == best && !(image[here] <= best)) best = image[here], at = here;
      }
    y[i] = best, arg[i] = at;
  });
}

// max_pool_grad -- op MaxPoolGrad, with the window of the pooling that made arg
//   dx[b,a] = sum of dy[b,i] over the i with arg[b,i] = a
// shapes   dx f32 [B,H,W,C], n elements; arg i32, dy f32 [B,OH,OW,C]
// aliasing none
// launch   grid any, block 256; a thread takes an element of dx, then strides, and
//          looks at the windows that have it
// sums     f32, in order of i; of each 128, and these in f64
// repeat   bit-identical, the order of ref
// error    <= gamma(min(windows, 129)) * sum |dy|
// cost     4n + 8*B*OH*OW*C bytes: memory bound
// source   as ir.MaxPoolGrad
KERNEL(max_pool_grad, threads, float* dx, const int* arg, const float* dy, Pool s, i64 n) {
  each_element(n, [&](i64 i) {
    Place p = place(i, s.by_h, s.by_w, s.by_c);
    Span rows = covering(p.h, s.by_sh, s.pt, s.kh, s.oh), cols = covering(p.w, s.by_sw, s.pl, s.kw, s.ow);
    int here = (p.h * s.w + p.w) * s.c + p.c;
    LongSum sum;
    for (int r = rows.first; r < rows.last; r++)
      for (int q = cols.first; q < cols.last; q++) {
        i64 from = ((p.b * s.oh + r) * s.ow + q) * s.c + p.c;
        if (arg[from] == here) sum.add(dy[from]);
      }
    dx[i] = sum.value();
  });
}

// max_pool_grad_scan -- op MaxPoolGrad, for any arg
//   dx[b,a] = sum of dy[b,i] over the i with arg[b,i] = a
// shapes   as max_pool_grad; an arg outside the image is ignored
// aliasing none
// launch   as max_pool_grad; a thread looks at all windows of its image
// sums, repeat, error  as max_pool_grad
// cost     H*W*C*OH*OW*C comparisons for each image: for programs whose pooling is
//          not at hand, which tests write and models do not
// source   as ir.MaxPoolGrad
KERNEL(max_pool_grad_scan, threads, float* dx, const int* arg, const float* dy, Pool s, i64 n) {
  i64 image = i64(s.h) * s.w * s.c, windows = i64(s.oh) * s.ow * s.c;
  each_element(n, [&](i64 i) {
    i64 b = i / image, here = i % image;
    LongSum sum;
    for (i64 from = b * windows; from < (b + 1) * windows; from++)
      if (arg[from] == here) sum.add(dy[from]);
    dx[i] = sum.value();
  });
}

// avg_pool -- op AvgPool
//   y = mean of each window's positions inside x
// shapes   x f32 [B,H,W,C]; y f32 [B,OH,OW,C], n elements
// aliasing none
// launch, repeat  as max_pool
// sums     f32, by rows; of each 128 positions, and these in f64
// error    <= gamma(min(window, 128) + 2) * mean |x|
// cost     4*B*H*W*C + 4n bytes: memory bound
// source   as ir.AvgPool
KERNEL(avg_pool, threads, float* y, const float* x, Pool s, i64 n) {
  each_element(n, [&](i64 i) {
    Place p = place(i, s.by_oh, s.by_ow, s.by_c);
    Span rows = inside(p.h, s.sh, s.pt, s.kh, s.h), cols = inside(p.w, s.sw, s.pl, s.kw, s.w);
    LongSum sum;
    for (int h = rows.first; h < rows.last; h++)
      for (int w = cols.first; w < cols.last; w++) sum.add(x[((p.b * s.h + h) * s.w + w) * s.c + p.c]);
    y[i] = sum.value() / float((rows.last - rows.first) * (cols.last - cols.first));
  });
}

// avg_pool_grad -- op AvgPoolGrad
//   dx = sum of dy/(positions inside x) over the windows that have the element
// shapes   dx f32 [B,H,W,C], n elements; dy f32 [B,OH,OW,C]
// aliasing none
// launch   as max_pool_grad
// sums     f32, in order of the windows; of each 128, and these in f64
// repeat   bit-identical, the order of ref
// error    <= gamma(min(windows, 129) + 1) * sum |dy|/positions
// cost     4n + 4*B*OH*OW*C bytes: memory bound
// source   as ir.AvgPoolGrad
KERNEL(avg_pool_grad, threads, float* dx, const float* dy, Pool s, i64 n) {
  each_element(n, [&](i64 i) {
    Place p = place(i, s.by_h, s.by_w, s.by_c);
    Span rows = covering(p.h, s.by_sh, s.pt, s.kh, s.oh), cols = covering(p.w, s.by_sw, s.pl, s.kw, s.ow);
    LongSum sum;
    for (int r = rows.first; r < rows.last; r++)
      for (int q = cols.first; q < cols.last; q++) {
        Span high = inside(r, s.sh, s.pt, s.kh, s.h), wide = inside(q, s.sw, s.pl, s.kw, s.w);
        sum.add(dy[((p.b * s.oh + r) * s.ow + q) * s.c + p.c] /
                float((high.last - high.first) * (wide.last - wide.first)));
      }
    dx[i] = sum.value();
  });
}
