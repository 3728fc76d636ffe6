// Optimisers: one launch updates all variables of an instruction.
#include "common.cuh"

// A Variable is a row of the table of an optimiser; see table in
// backend/cuda/plan.
struct Variable {
  i64 first;  // number of its first chunk
  i64 n;      // elements
  const float* g;
  float* p;
  float* slot[3];
};

// chunk is the number of elements that a block takes, all of one variable.
constexpr int chunk = 2048;

// variable_of returns the variable that has chunk number c: the last of `count`
// whose first chunk is not after it.
DEVICE const Variable* variable_of(const Variable* table, int count, i64 c) {
  int low = 0, high = count;
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (table[middle].first <= c) low = middle;
    else high = middle;
  }
  return table + low;
}

// A Quad is four neighbouring elements of a tensor, or fewer at its end.
struct Quad {
  float v[4];
  DEVICE void load(const float* p, i64 i, int n) {
    if (n == 4) {
      float4 q = ((const float4*)p)[i];
      v[0] = q.x, v[1] = q.y, v[2] = q.z, v[3] = q.w;
      return;
    }
    for (int k = 0; k < 4; k++) v[k] = k < n ? p[4 * i + k] : 0.0f;
  }
  DEVICE void store(float* p, i64 i, int n) const {
    if (n == 4) {
      ((float4*)p)[i] = make_float4(v[0], v[1], v[2], v[3]);
      return;
    }
    for (int k = 0; k < 4; k++)
      if (k < n) p[4 * i + k] = v[k];
  }
};

// each_chunk calls f(g, p, slots) for the elements of this block's chunk. F says
// which of the three slots the optimiser has. Nothing happens once the session has
// halted.
template <class F>
DEVICE void each_chunk(const int* halt, const Variable* table, int count, const bool (&has)[3], F f) {
  if (*halt) return;
  const Variable v = *variable_of(table, count, blockIdx.x);
  i64 from = (blockIdx.x - v.first) * (chunk / 4);
  for (int k = threadIdx.x; k < chunk / 4; k += threads) {
    i64 i = from + k, rest = v.n - 4 * i;
    if (rest <= 0) return;
    int n = rest < 4 ? int(rest) : 4;
    Quad g, p, slot[3];
    g.load(v.g, i, n);
    p.load(v.p, i, n);
#pragma unroll
    for (int s = 0; s < 3; s++)
      if (has[s]) slot[s].load(v.slot[s], i, n);
#pragma unroll
    for (int e = 0; e < 4; e++) f(g.v[e], p.v[e], slot[0].v[e], slot[1].v[e], slot[2].v[e]);
    p.store(v.p, i, n);
#pragma unroll
    for (int s = 0; s < 3; s++)
      if (has[s]) slot[s].store(v.slot[s], i, n);
  }
}

// Common is what all optimisers do first.
struct Common {
  float rate, scale, decay, clip;
  DEVICE float gradient(float g) const {
    g *= scale;
    return clip > 0 ? fmaxf(-clip, fminf(clip, g)) : g;
  }
  DEVICE float shrink(float p) const { return p - rate * decay * p; }
};

DEVICE Common common(const float* rate, const float* scale, float decay, float clip) {
  return {*rate, scale ? *scale : 1.0f, decay, clip};
}

// sgd -- op SGD
//   m = momentum*m - rate*g;  p += m, or with nesterov p += momentum*m - rate*g,
//   or without momentum p -= rate*g;  g and p first as at ir.SGD
// shapes   count variables: g, p, m f32 [n] each
// aliasing none between variables
// launch   grid sum of n/2048, block 256; no block has two variables
// sums     none
// repeat   bit-identical
// error    a few units in the last place of the terms
// cost     12 to 20 bytes for each element: memory bound
// source   as ir.SGD
KERNEL(sgd, threads, const int* halt, const Variable* table, int count, const float* rate, const float* scale,
       float decay, float clip, float momentum, int nesterov) {
  Common o = common(rate, scale, decay, clip);
  each_chunk(halt, table, count, {momentum != 0, false, false}, [&](float g, float& p, float& m, float&, float&) {
    float step = -o.rate * o.gradient(g);
    if (momentum != 0) {
      m = momentum * m + step;
      step = nesterov ? step + momentum * m : m;
    }
    p = o.shrink(p) + step;
  });
}

// adam -- op Adam
//   m += (g-m)*(1-beta1);  v += (g^2-v)*(1-beta2)
//   p -= rate*sqrt(1-beta2^t)/(1-beta1^t)*m/(sqrt(v or max v)+eps)
// shapes   count variables: g, p, m, v, and vmax when amsgrad, f32 [n] each; log1,
//          log2 are the logarithms of the betas, rest1, rest2 are 1-beta
// aliasing none between variables
// launch   as sgd; the factor of the step is computed once in a block, in f64
// sums     none
// repeat   bit-identical
// error    a few units in the last place of the terms
// cost     28 to 36 bytes for each element: memory bound
// source   as ir.Adam
KERNEL(adam, threads, const int* halt, const Variable* table, int count, const float* rate, const float* scale,
       float decay, float clip, const int* step, double log1, double log2, float rest1, float rest2, float eps,
       int amsgrad) {
  Common o = common(rate, scale, decay, clip);
  __shared__ float factor;
  if (threadIdx.x == 0) {
    double t = *step;
    factor = float(double(o.rate) * sqrt(-expm1(t * log2)) / -expm1(t * log1));
  }
  __syncthreads();
  float f = factor;
  each_chunk(halt, table, count, {true, true, amsgrad != 0}, [&](float g, float& p, float& m, float& v, float& vmax) {
    g = o.gradient(g);
    m += (g - m) * rest1;
    v += (g * g - v) * rest2;
    if (amsgrad) vmax = fmaxf(v, vmax);
    p = o.shrink(p) - f * m / (sqrtf(amsgrad ? vmax : v) + eps);
  });
}

// rmsprop -- op RMSProp
//   v = keep*v + take*g^2;  avg = keep*avg + take*g
//   d = rate*g/sqrt(max(v - avg^2, 0) + eps);  p -= d, or m = momentum*m + d, p -= m
// shapes   count variables: g, p, v, then avg when centered, then m with momentum,
//          f32 [n] each
// aliasing none between variables
// launch, sums, repeat  as sgd
// error    a few units in the last place of the terms; v - avg^2 cancels
// cost     20 to 36 bytes for each element: memory bound
// source   as ir.RMSProp
KERNEL(rmsprop, threads, const int* halt, const Variable* table, int count, const float* rate, const float* scale,
       float decay, float clip, float keep, float take, float eps, float momentum, int centered) {
  Common o = common(rate, scale, decay, clip);
  bool has_m = momentum != 0;
  each_chunk(halt, table, count, {true, centered || has_m, centered && has_m},
             [&](float g, float& p, float& v, float& second, float& third) {
               g = o.gradient(g);
               v = keep * v + take * g * g;
               float variance = v;
               if (centered) {
                 second = keep * second + take * g;
                 variance = fmaxf(v - second * second, 0);
               }
               float d = o.rate * g / sqrtf(variance + eps);
               if (has_m) {
                 float& m = centered ? third : second;
                 d += momentum * m;
                 m = d;
               }
               p = o.shrink(p) - d;
             });
}

// adagrad -- op Adagrad
//   a += g^2;  p -= rate*g/sqrt(a+eps)
// shapes   count variables: g, p, a f32 [n] each
// aliasing none between variables
// launch, sums, repeat  as sgd
// error    a few units in the last place of the terms
// cost     20 bytes for each element: memory bound
// source   as ir.Adagrad
KERNEL(adagrad, threads, const int* halt, const Variable* table, int count, const float* rate, const float* scale,
       float decay, float clip, float eps) {
  Common o = common(rate, scale, decay, clip);
  each_chunk(halt, table, count, {true, false, false}, [&](float g, float& p, float& a, float&, float&) {
    g = o.gradient(g);
    a += g * g;
    p = o.shrink(p) - o.rate * g / sqrtf(a + eps);
  });
}

// ema -- op EMA
//   state = keep*state + take*s
// shapes   count variables: s (as g), state (as p) f32 [n] each
// aliasing none between variables
// launch, sums, repeat  as sgd
// error    a few units in the last place of the terms
// cost     12 bytes for each element: memory bound
// source   as ir.EMA
KERNEL(ema, threads, const int* halt, const Variable* table, int count, float keep, float take) {
  each_chunk(halt, table, count, {false, false, false},
             [&](float s, float& p, float&, float&, float&) { p = keep * p + take * s; });
}

// clip_norm -- op ClipNorm
//   out = min(1, limit/||(g1..gn)||)
// shapes   count variables: g f32 [n] each, `chunks` chunks in all; out f32 [1];
//          scratch f64 [gridDim.x]
// aliasing none
// launch   grid any, block 256; a block takes a chunk, then strides
// sums     f64, in which squares of floats are exact and cannot overflow: in a thread,
//          then a tree; blocks by the last one, likewise
// repeat   bit-identical for the same grid
// error    two units in the last place
// cost     4 bytes for each element: memory bound
// source   as ir.ClipNorm
KERNEL(clip_norm, threads, float* out, const Variable* table, int count, int chunks, float limit, double* scratch,
       u32* counter) {
  double sum = 0;
  for (i64 c = blockIdx.x; c < chunks; c += gridDim.x) {
    const Variable* v = variable_of(table, count, c);
    i64 from = (c - v->first) * chunk;
    for (i64 i = from + threadIdx.x; i < from + chunk && i < v->n; i += threads) {
      double g = v->g[i];
      sum += g * g;
    }
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) scratch[blockIdx.x] = sum;
  if (!last_block(counter, gridDim.x)) return;
  double total = 0;
  for (u32 b = threadIdx.x; b < gridDim.x; b += threads) total += scratch[b];
  total = sqrt(block_sum(total));
  if (threadIdx.x == 0) *out = total > limit ? float(limit / total) : 1.0f;
}
