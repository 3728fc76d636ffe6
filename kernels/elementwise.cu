// Ops on single elements, and copies.
#include "common.cuh"

// activation -- op Activation
//   y = act(x)
// shapes   x, y f32 [n]
// aliasing y may be x
// launch   grid any, block 256; a thread takes four elements, then strides
// sums     none
// repeat   bit-identical
// error    a few units in the last place of max(1, |y|)
// cost     8n bytes: memory bound
// source   as ir.Activation
KERNEL(activation, threads, float* y, const float* x, i64 n, int act, float alpha) {
  map1(y, x, n, [&](float v, i64) { return activate(act, alpha, v); });
}

// act_grad -- op ActGrad
//   dx = dy * act'(ref)
// shapes   all f32 [n]
// aliasing dx may be ref or dy
// launch, sums, repeat  as activation
// error    a few units in the last place of |dy|
// cost     12n bytes: memory bound
// source   as ir.ActGrad
KERNEL(act_grad, threads, float* dx, const float* ref, const float* dy, i64 n, int act, float alpha) {
  map2(dx, ref, dy, n, [&](float r, float d, i64) { return d * derivative(act, alpha, r); });
}

// logit -- op Logit
//   x = log max(p, 2^-126) - alpha * log max(1 - p, 2^-24)
// shapes   p, x f32 [n]
// aliasing x may be p
// launch, sums, repeat  as activation
// error    a few units in the last place of max(1, |x|)
// cost     8n bytes: memory bound
// source   as ir.Logit
KERNEL(logit, threads, float* x, const float* p, i64 n, float alpha) {
  map1(x, p, n, [&](float v, i64) {
    return logf(max_nan(v, 0x1p-126f)) - alpha * logf(max_nan(1.0f - v, 0x1p-24f));
  });
}

// add -- op Add
//   y = act(a + b)
// shapes   all f32 [n]
// aliasing y may be a or b
// launch, sums, repeat  as activation
// error    exact without act
// cost     12n bytes: memory bound
// source   as ir.Add
KERNEL(add, threads, float* y, const float* a, const float* b, i64 n, int act, float alpha) {
  map2(y, a, b, n, [&](float v, float w, i64) { return activate(act, alpha, v + w); });
}

// accumulate -- op Accumulate
//   acc += g
// shapes   all f32 [n]
// aliasing none
// launch, sums, repeat  as activation
// error    exact
// cost     12n bytes: memory bound
// source   as ir.Accumulate
KERNEL(accumulate, threads, float* acc, const float* g, i64 n) {
  map2(acc, acc, g, n, [&](float v, float w, i64) { return v + w; });
}

// bias_add -- op BiasAdd
//   y[r,c] = x[r,c] + b[c]
// shapes   x, y f32 [n] with n = R*cols, b f32 [cols]
// aliasing y may be x
// launch, sums, repeat  as activation
// error    exact
// cost     8n bytes: memory bound
// source   as ir.BiasAdd
KERNEL(bias_add, threads, float* y, const float* x, const float* b, i64 n, int cols) {
  columns1(y, x, n, cols, [&](float v, i64, int c) { return v + b[c]; });
}

// epilogue -- what follows a product that another library has computed
//   y = act(y + bias[c])  or  y * act'(ref)
// shapes   y, ref f32 [n] with n = R*cols, bias f32 [cols]; bias, ref may be null
// aliasing none
// launch, sums, repeat  as activation
// error    as activation and act_grad
// cost     8n to 12n bytes: memory bound
// source   as ir.MatMul
KERNEL(epilogue, threads, float* y, const float* bias, const float* ref, i64 n, int cols, int act, float alpha) {
  columns1(y, y, n, cols, [&](float v, i64 i, int c) {
    if (bias) v += bias[c];
    return ref ? v * derivative(act, alpha, ref[i]) : activate(act, alpha, v);
  });
}

// mix is the hash of ir.Keep.
DEVICE u32 mix(u32 x) {
  x ^= x >> 16;
  x *= 0x21f0aaadu;
  x ^= x >> 15;
  x *= 0x735a2d97u;
  return x ^ x >> 15;
}

// dropout -- op Dropout
//   y[i] = x[i]*scale if Keep(seed, tick, i), else 0
// shapes   x, y f32 [n], tick i32 [1]
// aliasing y may be x
// launch, sums, repeat  as activation; the same mask as on the CPU
// error    exact
// cost     8n bytes, 14 integer operations each: memory bound
// source   as ir.Dropout, ir.Keep, ir.KeepKey
KERNEL(dropout, threads, float* y, const float* x, const int* tick, i64 n, u64 seed, u32 threshold, float scale) {
  u64 z = seed + (u64(u32(*tick)) + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  u32 k0 = u32(z), k1 = u32(z >> 32);
  map1(y, x, n, [&](float v, i64 i) { return mix(mix(u32(i) ^ k0) + k1) >= threshold ? v * scale : 0.0f; });
}

// copy_rows -- ops Concat (a launch for each input) and Slice
//   to[r*to_stride + i] = from[r*from_stride + i]   for r < outer, i < inner
// shapes   to, from f32 or i32
// aliasing none
// launch   grid any, block 256; a thread takes an element, then strides
// sums     none
// repeat   bit-identical
// error    exact
// cost     8*outer*inner bytes: memory bound
// source   as ir.Concat, ir.Slice
KERNEL(copy_rows, threads, u32* to, const u32* from, i64 outer, i64 inner, i64 to_stride, i64 from_stride) {
  i64 stride = i64(gridDim.x) * blockDim.x;
  for (i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x; i < outer * inner; i += stride) {
    i64 r = quotient(i, inner), c = i - r * inner;
    to[r * to_stride + c] = from[r * from_stride + c];
  }
}
