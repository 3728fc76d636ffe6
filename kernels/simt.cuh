// Multiplication in float32, on the ordinary units.
#pragma once
#include "tile.cuh"

// Simt multiplies in float32: each thread TM x TN elements of the tile. The eight
// rows or columns of a thread are two quads half a tile apart, so that threads side
// by side read side by side.
template <int TILE_M, int TILE_N, int THREADS_M, int THREADS_N, int STEP>
struct Simt {
  static constexpr int SIDE_M = TILE_M, SIDE_N = TILE_N, THREADS = THREADS_M * THREADS_N, DEPTH = STEP;
  static constexpr int TM = SIDE_M / THREADS_M, TN = SIDE_N / THREADS_N;
  static constexpr int PASSES = TM, ROWS = THREADS_M;
  // Rows are padded by 16 bytes against bank conflicts of stores.
  typedef float MemoryA[DEPTH][SIDE_M + 4];
  typedef float MemoryB[DEPTH][SIDE_N + 4];
  float sum[TM][TN];

  DEVICE Simt() {
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
      for (int j = 0; j < TN; j++) sum[i][j] = 0;
  }

  template <bool ALONG_K, class Memory>
  static DEVICE void store(Memory& memory, int outer, int k, float4 q) {
    if (ALONG_K) {
      memory[k][outer] = q.x;
      memory[k + 1][outer] = q.y;
      memory[k + 2][outer] = q.z;
      memory[k + 3][outer] = q.w;
    } else {
      *(float4*)&memory[k][outer] = q;
    }
  }

  template <int T, int SIDE>
  static DEVICE void fragment(float (&to)[T], const float* row, int at) {
#pragma unroll
    for (int h = 0; h < T / 4; h++) {
      float4 q = *(const float4*)(row + h * (SIDE / 2) + at * 4);
      to[4 * h] = q.x, to[4 * h + 1] = q.y, to[4 * h + 2] = q.z, to[4 * h + 3] = q.w;
    }
  }

  DEVICE void multiply(const MemoryA& a, const MemoryB& b) {
#pragma unroll
    for (int k = 0; k < DEPTH; k++) {
      float x[TM], y[TN];
      fragment<TM, SIDE_M>(x, a[k], threadIdx.x / THREADS_N);
      fragment<TN, SIDE_N>(y, b[k], threadIdx.x % THREADS_N);
#pragma unroll
      for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < TN; j++) sum[i][j] = fmaf(x[i], y[j], sum[i][j]);
    }
  }

  // stage writes row `pass` of each thread. The register is selected, not indexed:
  // indexing would move all of them to memory.
  DEVICE void stage(int pass, float (*to)[SIDE_N + 4]) const {
#pragma unroll
    for (int j = 0; j < TN; j++) {
      float v = 0;
#pragma unroll
      for (int i = 0; i < TM; i++)
        if (i == pass) v = sum[i][j];
      to[threadIdx.x / THREADS_N][j / 4 * (SIDE_N / 2) + threadIdx.x % THREADS_N * 4 + j % 4] = v;
    }
  }
  static DEVICE int row_of(int pass, int r) { return pass / 4 * (SIDE_M / 2) + r * 4 + pass % 4; }
};

typedef Simt<128, 128, 16, 16, 8> Simt128x128;
typedef Simt<128, 64, 16, 16, 16> Simt128x64;
typedef Simt<128, 32, 32, 8, 16> Simt128x32;
typedef Simt<64, 64, 16, 16, 16> Simt64x64;
typedef Simt<32, 32, 8, 8, 16> Simt32x32;
