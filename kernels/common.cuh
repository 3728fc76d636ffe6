// What all kernels share: entry points, activations, sums over warps and blocks.
//
// Letters as in package ir: B batch rows, R rows (all dims but the last), C
// channels or classes (the last dim), H W height and width, O output channels, G
// groups. Tensors are dense and row-major, images NHWC, weights HWIO. Parameters
// are outputs, inputs, sizes, attributes, then memory for sums. Rows, columns and
// dims are int32 (at most 2^30), indices of elements int64.
//
// The same files compile for a device and, with host/shim.h in front, for the
// host: see README.md.
#pragma once

#ifndef EMULATED
#include <math_constants.h>
#define DEVICE __device__ __forceinline__
// KERNEL defines an entry point with its largest block.
#define KERNEL(name, block, ...) extern "C" __global__ void __launch_bounds__(block, 1) name(__VA_ARGS__)
#define NAN_F CUDART_NAN_F
#define INFINITY_F CUDART_INF_F
#endif

typedef long long i64;
typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned char u8;

// threads is the block of all kernels but the tiled products.
constexpr int threads = 256;

// As in package ir.
enum Act { NO_ACT, RELU, LEAKY_RELU, ELU, GELU, SIGMOID, TANH, SOFTPLUS, SILU };

DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// normal_cdf is the distribution function of the standard normal distribution.
DEVICE float normal_cdf(float x) { return 0.5f * erfcf(-x * 0.70710678f); }

// max_nan is the maximum, and NaN if either is.
DEVICE float max_nan(float a, float b) { return a > b || a != a ? a : b; }

// activate returns act(x); the formulas are at ir.Act.
DEVICE float activate(int act, float alpha, float x) {
  switch (act) {
    case RELU: return x <= 0 ? 0 : x;
    case LEAKY_RELU: return x < 0 ? alpha * x : x;
    case ELU: return x < 0 ? alpha * expm1f(x) : x;
    case GELU: return x * normal_cdf(x);
    case SIGMOID: return sigmoid(x);
    case TANH: return tanhf(x);
    case SOFTPLUS: return max_nan(x, 0) + log1pf(expf(-fabsf(x)));
    case SILU: return x * sigmoid(x);
    default: return x;
  }
}

// derivative returns act'(x), from r = x for GELU and SiLU, from r = act(x) for
// the others. At a kink it is the derivative from the left.
DEVICE float derivative(int act, float alpha, float r) {
  switch (act) {
    case RELU: return r <= 0 ? 0 : 1;
    case LEAKY_RELU: return r <= 0 ? alpha : 1;
    case ELU: return r <= 0 ? r + alpha : 1;
    case GELU: return normal_cdf(r) + r * 0.39894228f * expf(-0.5f * r * r);
    case SIGMOID: return r * (1 - r);
    case TANH: return 1 - r * r;
    case SOFTPLUS: return -expm1f(-r);
    case SILU: {
      float s = sigmoid(r);
      return s * (1 + r * (1 - s));
    }
    default: return 1;
  }
}

// A Divisor divides 0 <= n < 2^31 by d with one multiplication; see divisor in
// backend/cuda/plan.
struct Divisor {
  int d, factor, shift;
  DEVICE int div(int n) const { return d == 1 ? n : int(__umulhi(u32(n), u32(factor)) >> shift); }
};

// quotient returns n/d for numbers that are not negative, quickly where 32 bits
// will do.
DEVICE i64 quotient(i64 n, i64 d) { return (n | d) >> 32 == 0 ? i64(u32(n) / u32(d)) : n / d; }

// warp_sum returns the sum of v over the lanes of a warp, to all of them, in one
// order: halves are added until one is left.
template <class T>
DEVICE T warp_sum(T v) {
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(0xffffffffu, v, step);
  return v;
}

// warp_max returns the maximum, NaN if any is.
DEVICE float warp_max(float v) {
  for (int step = 16; step > 0; step /= 2) v = max_nan(v, __shfl_xor_sync(0xffffffffu, v, step));
  return v;
}

// block_sum returns the sum over the threads of a block, to all of them: within
// warps, then of the warps. All threads must call it.
template <class T>
DEVICE T block_sum(T v) {
  __shared__ T warps[threads / 32];
  v = warp_sum(v);
  __syncthreads();  // the previous call may still be reading
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
  __syncthreads();
  return warp_sum(threadIdx.x % 32 < threads / 32 ? warps[threadIdx.x % 32] : T(0));
}

DEVICE float block_max(float v) {
  __shared__ float warps[threads / 32];
  v = warp_max(v);
  __syncthreads();
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
  __syncthreads();
  return warp_max(warps[threadIdx.x % (threads / 32)]);
}

// run is the most terms that a thread adds up in float32 alone.
constexpr int run = 128;

// A LongSum adds up any number of terms: runs of 128 in float32, and the runs in
// float64. Up to 128 terms it is what a float would be; however many there are, it
// is off by at most gamma(129) times the sum of their absolute values.
// Source: Higham, Accuracy and Stability of Numerical Algorithms, 2002, 4.2.
struct LongSum {
  double total = 0;
  float part = 0;
  int terms = 0;
  DEVICE void add(float v) {
    part += v;
    if (++terms < run) return;
    total += part;
    part = 0, terms = 0;
  }
  DEVICE float value() const { return float(total + part); }
};

// last_block reports, to all threads of a block, whether it is the last of so many
// blocks to get here. What the others have written before is then visible, so that
// it can add up their parts in one order, whichever block it is. The counter is 0
// before the first block and after the last.
DEVICE bool last_block(u32* counter, u32 blocks) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(counter, 1u) == blocks - 1;
    if (last) *counter = 0;
    __threadfence();
  }
  __syncthreads();
  bool result = last;
  __syncthreads();  // before a next call overwrites it
  __threadfence();
  return result;
}

// for_each4 calls four(i) for every i < n/4 and one(i) for the elements behind the
// last four, over all threads of the grid.
template <class Four, class One>
DEVICE void for_each4(i64 n, Four four, One one) {
  i64 first = i64(blockIdx.x) * blockDim.x + threadIdx.x, stride = i64(gridDim.x) * blockDim.x;
  for (i64 i = first; i < n / 4; i += stride) four(i);
  i64 rest = n / 4 * 4 + first;
  if (rest < n) one(rest);
}

// map1 computes y[i] = f(x[i], i); pointers are aligned to 16 bytes.
template <class F>
DEVICE void map1(float* y, const float* x, i64 n, F f) {
  for_each4(
      n,
      [&](i64 i) {
        float4 v = ((const float4*)x)[i];
        ((float4*)y)[i] = make_float4(f(v.x, 4 * i), f(v.y, 4 * i + 1), f(v.z, 4 * i + 2), f(v.w, 4 * i + 3));
      },
      [&](i64 i) { y[i] = f(x[i], i); });
}

// map2 computes y[i] = f(a[i], b[i], i).
template <class F>
DEVICE void map2(float* y, const float* a, const float* b, i64 n, F f) {
  for_each4(
      n,
      [&](i64 i) {
        float4 v = ((const float4*)a)[i], w = ((const float4*)b)[i];
        ((float4*)y)[i] =
            make_float4(f(v.x, w.x, 4 * i), f(v.y, w.y, 4 * i + 1), f(v.z, w.z, 4 * i + 2), f(v.w, w.w, 4 * i + 3));
      },
      [&](i64 i) { y[i] = f(a[i], b[i], i); });
}

// columns1 computes y[i] = f(x[i], i, i % cols).
template <class F>
DEVICE void columns1(float* y, const float* x, i64 n, int cols, F f) {
  for_each4(
      n,
      [&](i64 i) {
        float4 v = ((const float4*)x)[i];
        int c = int(4 * i - quotient(4 * i, cols) * cols), k[4];
        for (int e = 0; e < 4; e++, c = c + 1 == cols ? 0 : c + 1) k[e] = c;
        i *= 4;
        ((float4*)y)[i / 4] =
            make_float4(f(v.x, i, k[0]), f(v.y, i + 1, k[1]), f(v.z, i + 2, k[2]), f(v.w, i + 3, k[3]));
      },
      [&](i64 i) { y[i] = f(x[i], i, int(i % cols)); });
}
