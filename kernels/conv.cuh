// Convolutions as products of matrices that are never written down: loaders that
// find their elements in the images (implicit GEMM).
//
//   conv2d     y[pixel, o]    = sum over (p,q,c) of x[pixel moved by p,q, c] * w[(p,q,c), o]
//   conv2d_dx  dx[pixel, c]   = sum over (p,q,o) of dy[pixel moved back, o] * w[(p,q), c, o]
//   conv2d_dw  dw[(p,q,c), o] = sum over pixels of x[pixel moved by p,q, c] * dy[pixel, o]
#pragma once
#include "matrices.cuh"

// Conv is the geometry: x [B,h,w,c], y [B,oh,ow,o], window, strides, dilations,
// padding, channels of a group; see convGeometry in backend/cuda/plan. The divisors
// are oh*ow, ow, h*w, w, cg, og, kw, sh, sw.
struct Conv {
  int h, w, c, oh, ow, o, kh, kw, sh, sw, dh, dw, pt, pl, cg, og;
  Divisor by_out, by_ow, by_image, by_w, by_cg, by_og, by_kw, by_sh, by_sw;
};

// Patches reads x for conv2d: outer is an output pixel (b,i,j), k is (p,q,c).
struct Patches {
  static constexpr bool ALONG_K = true;
  const float* x;  // at the group's first channel
  const Conv& g;
  int pixels;
  bool aligned;
  struct Slot {
    const float* image;  // null outside
    int top, left;       // of the window
  };
  DEVICE Slot slot(int pixel) const {
    if (pixel >= pixels) return {nullptr, 0, 0};
    int b = g.by_out.div(pixel), rest = pixel - b * g.by_out.d, i = g.by_ow.div(rest), j = rest - i * g.ow;
    return {x + i64(b) * g.h * g.w * g.c, i * g.sh - g.pt, j * g.sw - g.pl};
  }
  // at returns where x has that term, null for padding.
  DEVICE const float* at(Slot s, int k) const {
    int tap = g.by_cg.div(k), c = k - tap * g.cg, p = g.by_kw.div(tap), q = tap - p * g.kw;
    int h = s.top + p * g.dh, v = s.left + q * g.dw;
    if (u32(h) >= u32(g.h) || u32(v) >= u32(g.w)) return nullptr;
    return s.image + (i64(h) * g.w + v) * g.c + c;
  }
  DEVICE float4 load(Slot s, int k, int end) const {
    if (!s.image || k >= end) return zeros();
    if (aligned) {
      const float* from = at(s, k);
      return from ? *(const float4*)from : zeros();
    }
    float v[4];
#pragma unroll
    for (int e = 0; e < 4; e++) {
      const float* from = k + e < end ? at(s, k + e) : nullptr;
      v[e] = from ? *from : 0;
    }
    return make_float4(v[0], v[1], v[2], v[3]);
  }
};

// Sources reads dy for conv2d_dx: outer is an input pixel (b,h,v), k is (p,q,o).
struct Sources {
  static constexpr bool ALONG_K = true;
  const float* dy;  // at the group's first channel
  const Conv& g;
  int pixels;
  bool aligned;
  struct Slot {
    const float* image;
    int top, left;  // h + pt, v + pl
  };
  DEVICE Slot slot(int pixel) const {
    if (pixel >= pixels) return {nullptr, 0, 0};
    int b = g.by_image.div(pixel), rest = pixel - b * g.by_image.d, h = g.by_w.div(rest), v = rest - h * g.w;
    return {dy + i64(b) * g.oh * g.ow * g.o, h + g.pt, v + g.pl};
  }
  // at returns where dy has that term, null if no output reads the pixel through
  // that tap.
  DEVICE const float* at(Slot s, int k) const {
    int tap = g.by_og.div(k), o = k - tap * g.og, p = g.by_kw.div(tap), q = tap - p * g.kw;
    int h = s.top - p * g.dh, v = s.left - q * g.dw;
    if (h < 0 || v < 0) return nullptr;
    int i = g.by_sh.div(h), j = g.by_sw.div(v);
    if (i * g.sh != h || j * g.sw != v || i >= g.oh || j >= g.ow) return nullptr;
    return s.image + (i64(i) * g.ow + j) * g.o + o;
  }
  DEVICE float4 load(Slot s, int k, int end) const {
    if (!s.image || k >= end) return zeros();
    if (aligned) {
      const float* from = at(s, k);
      return from ? *(const float4*)from : zeros();
    }
    float v[4];
#pragma unroll
    for (int e = 0; e < 4; e++) {
      const float* from = k + e < end ? at(s, k + e) : nullptr;
      v[e] = from ? *from : 0;
    }
    return make_float4(v[0], v[1], v[2], v[3]);
  }
};

// BackWeights reads w for conv2d_dx: outer is c, k is (p,q,o).
struct BackWeights {
  static constexpr bool ALONG_K = true;
  const float* w;  // at the group's first output channel
  const Conv& g;
  bool aligned;
  typedef int Slot;  // c
  DEVICE Slot slot(int c) const { return c; }
  DEVICE const float* at(int c, int k) const {
    int tap = g.by_og.div(k);
    return w + (i64(tap) * g.cg + c) * g.o + (k - tap * g.og);
  }
  DEVICE float4 load(Slot c, int k, int end) const {
    if (c >= g.cg || k >= end) return zeros();
    if (aligned) return *(const float4*)at(c, k);
    float v[4];
#pragma unroll
    for (int e = 0; e < 4; e++) v[e] = k + e < end ? *at(c, k + e) : 0;
    return make_float4(v[0], v[1], v[2], v[3]);
  }
};

// Shifts reads x for conv2d_dw: outer is (p,q,c), k is an output pixel.
struct Shifts {
  static constexpr bool ALONG_K = false;
  const float* x;  // at the group's first channel
  const Conv& g;
  int weights;  // KH*KW*cg
  bool aligned;
  struct Slot {
    int dh[4], dw[4], c[4];  // c is -1 outside; when aligned, only the first counts
  };
  DEVICE Slot slot(int outer) const {
    Slot s;
#pragma unroll
    for (int e = 0; e < 4; e++) {
      int m = outer + e, tap = g.by_cg.div(m), p = g.by_kw.div(tap);
      s.c[e] = m < weights ? m - tap * g.cg : -1;
      s.dh[e] = p * g.dh - g.pt;
      s.dw[e] = (tap - p * g.kw) * g.dw - g.pl;
    }
    return s;
  }
  DEVICE float4 load(const Slot& s, int k, int end) const {
    if (k >= end) return zeros();
    int b = g.by_out.div(k), rest = k - b * g.by_out.d, i = g.by_ow.div(rest);
    int top = i * g.sh, left = (rest - i * g.ow) * g.sw;
    const float* image = x + i64(b) * g.h * g.w * g.c;
    float v[4] = {0, 0, 0, 0};
#pragma unroll
    for (int e = 0; e < 4; e++) {
      int h = top + s.dh[e], u = left + s.dw[e];
      bool inside = s.c[e] >= 0 && u32(h) < u32(g.h) && u32(u) < u32(g.w);
      const float* from = image + (i64(h) * g.w + u) * g.c + s.c[e];
      if (aligned) return inside ? *(const float4*)from : zeros();
      if (inside) v[e] = *from;
    }
    return make_float4(v[0], v[1], v[2], v[3]);
  }
};

// CONVS defines the three products of a multiplier.
#define CONV_KERNEL(name, M)                                                                                      \
  KERNEL(name, M::THREADS, float* y, const float* a, const float* b, const float* bias, const float* ref, Conv g, \
         Cut cut, int act, float alpha, float* scratch, u32* counters)
#define CONVS(suffix, M)                                                                          \
  CONV_KERNEL(conv2d_##suffix, M) {                                                               \
    int group = blockIdx.z / cut.parts;                                                           \
    Patches left = {a + group * g.cg, g, cut.m, (cut.aligned & ALIGNED_A) != 0};                  \
    RowsAcrossK right = {b + group * g.og, g.og, g.o, (cut.aligned & ALIGNED_B) != 0};            \
    tiled<M>(left, right, {y, bias, ref, g.o, act, alpha}, cut, scratch, counters);               \
  }                                                                                               \
  CONV_KERNEL(conv2d_dx_##suffix, M) {                                                            \
    int group = blockIdx.z / cut.parts;                                                           \
    bool aligned = (cut.aligned & ALIGNED_A) != 0;                                                \
    Sources left = {b + group * g.og, g, cut.m, aligned};                                         \
    BackWeights right = {a + group * g.og, g, aligned};                                           \
    tiled<M>(left, right, {y, bias, ref, g.c, act, alpha}, cut, scratch, counters);               \
  }                                                                                               \
  CONV_KERNEL(conv2d_dw_##suffix, M) {                                                            \
    int group = blockIdx.z / cut.parts;                                                           \
    Shifts left = {a + group * g.cg, g, cut.m, (cut.aligned & ALIGNED_A) != 0};                   \
    RowsAcrossK right = {b + group * g.og, g.og, g.o, (cut.aligned & ALIGNED_B) != 0};            \
    tiled<M>(left, right, {y, bias, ref, g.o, act, alpha}, cut, scratch, counters);               \
  }
