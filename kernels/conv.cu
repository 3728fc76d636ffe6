// Convolutions in float32.
#include "conv.cuh"
#include "reduce.cuh"
#include "simt.cuh"

// conv2d_{128x128,128x64,128x32,64x64,32x32} -- op Conv2D; conv2d_dx_ -- op Conv2DDX; conv2d_dw_ -- op
// Conv2DDW
//   the three products in conv.cuh; conv2d and conv2d_dx with epilogue
// shapes   x [B,H,W,C], y, dy [B,OH,OW,O], w [KH,KW,C/G,O], bias [O], ref as the
//          output, may be null; f32; scratch f32 [groups, parts, m, n]
// aliasing none
// launch   grid (m/tile, n/tile, groups*parts), block 64 to 256
// sums     f32, fused multiply-add; in order of k within a part, parts in order
// repeat   bit-identical for the same cut
// error    <= gamma(k) * sum_k |a*b|
// cost     2mnk flop for each group; conv2d_dx with strides multiplies sh*sw times
//          as many zeros
// source   as ir.Conv2D, ir.Conv2DDX, ir.Conv2DDW
CONVS(128x128, Simt128x128)
CONVS(128x64, Simt128x64)
CONVS(128x32, Simt128x32)
CONVS(64x64, Simt64x64)
CONVS(32x32, Simt32x32)

// each_output calls f(i) for every i < n, over all threads of the grid.
template <class F>
DEVICE void each_output(i64 n, F f) {
  i64 stride = i64(gridDim.x) * blockDim.x;
  for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) f(i);
}

// conv2d_direct -- op Conv2D, for groups of few channels
//   y[b,i,j,o] = epilogue(sum_pqc x[b, i*sh+p*dh-pt, j*sw+q*dw-pl, c]*w[p,q,c,o])
// shapes   as conv2d; n elements of y
// aliasing none
// launch   grid any, block 256; a thread takes an output, then strides
// sums     f32, in order of p, q, c
// repeat   bit-identical
// error    <= gamma(k) * sum |x*w|
// cost     2*KH*KW*C/G flop and as many loads for each output, mostly from cache
// source   as ir.Conv2D
KERNEL(conv2d_direct, threads, float* y, const float* x, const float* w, const float* bias, const float* ref, Conv g,
       i64 n, int act, float alpha) {
  Output out = {y, bias, ref, g.o, act, alpha};
  each_output(n, [&](i64 at) {
    i64 pixel = quotient(at, g.o), line = quotient(pixel, g.ow), b = quotient(line, g.oh);
    int o = int(at - pixel * g.o);
    int top = int(line - b * g.oh) * g.sh - g.pt, left = int(pixel - line * g.ow) * g.sw - g.pl;
    const float* image = x + b * g.h * g.w * g.c + g.by_og.div(o) * g.cg;
    float sum = 0;
    for (int p = 0; p < g.kh; p++)
      for (int q = 0; q < g.kw; q++) {
        int h = top + p * g.dh, v = left + q * g.dw;
        if (u32(h) >= u32(g.h) || u32(v) >= u32(g.w)) continue;
        const float* from = image + (i64(h) * g.w + v) * g.c;
        const float* by = w + i64(p * g.kw + q) * g.cg * g.o + o;
        for (int c = 0; c < g.cg; c++) sum = fmaf(from[c], by[i64(c) * g.o], sum);
      }
    out.put(pixel, o, sum);
  });
}

// conv2d_dx_direct -- op Conv2DDX, for groups of few channels
//   dx[b,h,v,c] = epilogue(sum of dy[b,i,j,o]*w[p,q,c,o]) over the taps and outputs
//   that read x[b,h,v], and the o of c's group
// shapes   as conv2d_dx; n elements of dx
// aliasing none
// launch, repeat  as conv2d_direct
// sums     f32, in order of p, q, o
// error    <= gamma(k) * sum |dy*w|
// cost     2*KH*KW*O/G flop and as many loads for each element, mostly from cache
// source   as ir.Conv2DDX
KERNEL(conv2d_dx_direct, threads, float* dx, const float* w, const float* dy, const float* bias, const float* ref,
       Conv g, i64 n, int act, float alpha) {
  Output out = {dx, bias, ref, g.c, act, alpha};
  each_output(n, [&](i64 at) {
    i64 pixel = quotient(at, g.c), line = quotient(pixel, g.w), b = quotient(line, g.h);
    int c = int(at - pixel * g.c), group = g.by_cg.div(c);
    int top = int(line - b * g.h) + g.pt, left = int(pixel - line * g.w) + g.pl;
    const float* image = dy + b * g.oh * g.ow * g.o + group * g.og;
    float sum = 0;
    for (int p = 0; p < g.kh; p++)
      for (int q = 0; q < g.kw; q++) {
        int h = top - p * g.dh, v = left - q * g.dw;
        if (h < 0 || v < 0) continue;
        int i = g.by_sh.div(h), j = g.by_sw.div(v);
        if (i * g.sh != h || j * g.sw != v || i >= g.oh || j >= g.ow) continue;
        const float* from = image + (i64(i) * g.ow + j) * g.o;
        const float* by = w + (i64(p * g.kw + q) * g.cg + (c - group * g.cg)) * g.o + group * g.og;
        for (int o = 0; o < g.og; o++) sum = fmaf(from[o], by[o], sum);
      }
    out.put(pixel, c, sum);
  });
}

struct WeightSums : Sums<1> {
  float* dw;
  const float *x, *dy;
  const Conv& g;
  DEVICE void add(i64 row, int weight) {
    int tap_c = int(quotient(weight, g.o)), o = weight - tap_c * g.o, tap = g.by_cg.div(tap_c), c = tap_c - tap * g.cg;
    int p = g.by_kw.div(tap), q = tap - p * g.kw;
    int pixel = int(row), b = g.by_out.div(pixel), rest = pixel - b * g.by_out.d, i = g.by_ow.div(rest);
    int h = i * g.sh + p * g.dh - g.pt, u = (rest - i * g.ow) * g.sw + q * g.dw - g.pl;
    if (u32(h) >= u32(g.h) || u32(u) >= u32(g.w)) return;
    v[0] = fmaf(x[((i64(b) * g.h + h) * g.w + u) * g.c + g.by_og.div(o) * g.cg + c], dy[row * g.o + o], v[0]);
    next();
  }
  DEVICE void finish(int weight) { dw[weight] = float(total[0]); }
};

// conv2d_dw_direct -- op Conv2DDW, for groups of few channels
//   dw[p,q,c,o] = sum_bij x[b, i*sh+p*dh-pt, j*sw+q*dw-pl, c]*dy[b,i,j,o]
// shapes   as conv2d_dw; `weights` elements of dw, `pixels` B*OH*OW of dy
// aliasing none
// launch   grid (weights/32, parts), block 256: see column_reduce
// sums     f32; pixels strided in a thread, in runs of 128 that are added in f64, then a
//          tree; then parts likewise
// repeat   bit-identical for the same number of parts
// error    <= gamma(h) * sum |x*dy|, h as at column_reduce
// cost     2 flop and 2 loads for each weight and pixel, mostly from cache
// source   as ir.Conv2DDW
KERNEL(conv2d_dw_direct, threads, float* dw, const float* x, const float* dy, Conv g, i64 pixels, int weights,
       float* scratch, u32* counters) {
  WeightSums s = {{{0}}, dw, x, dy, g};
  column_reduce(s, pixels, weights, scratch, counters);
}
