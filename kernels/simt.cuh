// Multiplication in float32, on the ordinary units.
#pragma once
#include "tile.cuh"

// Simt multiplies in float32: each thread T x T elements of the tile, as quads of
// neighbours half a tile apart, so that threads side by side read side by side.
template <int TILE, int NUM_THREADS, int STEP>
struct Simt {
  static constexpr int SIDE = TILE, THREADS = NUM_THREADS, DEPTH = STEP;
  static constexpr int EDGE = THREADS == 256 ? 16 : 8;  // threads along a side
  static constexpr int T = SIDE / EDGE;
  static constexpr int PASSES = T, ROWS = EDGE;
  // Rows are padded by 16 bytes against bank conflicts of stores.
  typedef float Memory[DEPTH][SIDE + 4];
  float sum[T][T];

  DEVICE Simt() {
#pragma unroll
    for (int i = 0; i < T; i++)
#pragma unroll
      for (int j = 0; j < T; j++) sum[i][j] = 0;
  }

  template <bool ALONG_K>
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

  static DEVICE void fragment(float (&to)[T], const float* row, int at) {
#pragma unroll
    for (int h = 0; h < T / 4; h++) {
      float4 q = *(const float4*)(row + h * (SIDE / 2) + at * 4);
      to[4 * h] = q.x, to[4 * h + 1] = q.y, to[4 * h + 2] = q.z, to[4 * h + 3] = q.w;
    }
  }

  DEVICE void multiply(const Memory& a, const Memory& b) {
#pragma unroll
    for (int k = 0; k < DEPTH; k++) {
      float x[T], y[T];
      fragment(x, a[k], threadIdx.x / EDGE);
      fragment(y, b[k], threadIdx.x % EDGE);
#pragma unroll
      for (int i = 0; i < T; i++)
#pragma unroll
        for (int j = 0; j < T; j++) sum[i][j] = fmaf(x[i], y[j], sum[i][j]);
    }
  }

  // stage writes row `pass` of each thread. The register is selected, not indexed:
  // indexing would move all of them to memory.
  DEVICE void stage(int pass, float (*to)[SIDE + 4]) const {
#pragma unroll
    for (int j = 0; j < T; j++) {
      float v = 0;
#pragma unroll
      for (int i = 0; i < T; i++)
        if (i == pass) v = sum[i][j];
      to[threadIdx.x / EDGE][j / 4 * (SIDE / 2) + threadIdx.x % EDGE * 4 + j % 4] = v;
    }
  }
  static DEVICE int row_of(int pass, int r) { return pass / 4 * (SIDE / 2) + r * 4 + pass % 4; }
};

typedef Simt<128, 256, 8> Simt128;
typedef Simt<64, 256, 16> Simt64;
typedef Simt<32, 64, 16> Simt32;
