// Multiplication on tensor cores, of factors rounded to tf32 or bf16, added in
// float32. Needs sm_80.
#pragma once
#include "tile.cuh"

#ifndef EMULATED
// round_tf32 rounds to 10 bits of fraction, to nearest, ties away from 0.
DEVICE u32 round_tf32(float v) {
  u32 r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(v));
  return r;
}

// pack_bf16 rounds two numbers to bf16, to nearest, ties to even: lo in the low
// half.
DEVICE u32 pack_bf16(float lo, float hi) {
  u32 r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
  return r;
}

// mma_tf32 computes c += a*b over a warp, for a [16,8], b [8,8], c [16,8]. With
// g = lane/4 and t = lane%4, a is (g,t) (g+8,t) (g,t+4) (g+8,t+4), b is (t,g)
// (t+4,g), c is (g,2t) (g,2t+1) (g+8,2t) (g+8,2t+1).
DEVICE void mma_tf32(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// mma_bf16 is mma_tf32 with pairs along k in place of numbers: a [16,16], b [16,8].
DEVICE void mma_bf16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// Tensor multiplies with tensor cores. Shared memory holds words: a number (tf32)
// or a pair of neighbours along k (bf16). Each warp computes 16*MI x 8*NI elements.
template <int TILE_M, int TILE_N, int NUM_WARPS_M, int NUM_WARPS_N, bool BF16>
struct Tensor {
  static constexpr int SIDE_M = TILE_M, SIDE_N = TILE_N, WARPS_M = NUM_WARPS_M, WARPS_N = NUM_WARPS_N;
  static constexpr int THREADS = 32 * WARPS_M * WARPS_N, DEPTH = BF16 ? 32 : 16;
  static constexpr int WORDS = 16;  // of a row, along k
  static constexpr int MI = SIDE_M / WARPS_M / 16, NI = SIDE_N / WARPS_N / 8;
  static constexpr int PASSES = 2 * MI, ROWS = 8 * WARPS_M;
  // Padded by 8 words: the 4 words t and 8 columns g of a fragment are 32 banks.
  typedef u32 MemoryA[WORDS][SIDE_M + 8];
  typedef u32 MemoryB[WORDS][SIDE_N + 8];
  float sum[MI][NI][4];

  DEVICE Tensor() {
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
      for (int j = 0; j < NI; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) sum[i][j][e] = 0;
  }

  template <bool ALONG_K, class Memory>
  static DEVICE void store(Memory& memory, int outer, int k, float4 q) {
    if constexpr (BF16 && ALONG_K) {
      memory[k / 2][outer] = pack_bf16(q.x, q.y);
      memory[k / 2 + 1][outer] = pack_bf16(q.z, q.w);
    } else if constexpr (BF16) {
      unsigned short* half = (unsigned short*)&memory[k / 2][outer] + k % 2;
      u32 low = pack_bf16(q.x, q.y), high = pack_bf16(q.z, q.w);
      half[0] = (unsigned short)low;
      half[2] = (unsigned short)(low >> 16);
      half[4] = (unsigned short)high;
      half[6] = (unsigned short)(high >> 16);
    } else if constexpr (ALONG_K) {
      memory[k][outer] = round_tf32(q.x);
      memory[k + 1][outer] = round_tf32(q.y);
      memory[k + 2][outer] = round_tf32(q.z);
      memory[k + 3][outer] = round_tf32(q.w);
    } else {
      *(uint4*)&memory[k][outer] = make_uint4(round_tf32(q.x), round_tf32(q.y), round_tf32(q.z), round_tf32(q.w));
    }
  }

  static DEVICE int warp_row() { return int(threadIdx.x) / 32 % WARPS_M; }
  static DEVICE int warp_column() { return int(threadIdx.x) / 32 / WARPS_M; }

  DEVICE void multiply(const MemoryA& a, const MemoryB& b) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    int i0 = warp_row() * (16 * MI) + g, j0 = warp_column() * (8 * NI) + g;
#pragma unroll
    for (int w = 0; w < WORDS; w += 8) {
      u32 x[MI][4], y[NI][2];
#pragma unroll
      for (int i = 0; i < MI; i++)
#pragma unroll
        for (int e = 0; e < 4; e++) x[i][e] = a[w + t + e / 2 * 4][i0 + i * 16 + e % 2 * 8];
#pragma unroll
      for (int j = 0; j < NI; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) y[j][e] = b[w + t + e * 4][j0 + j * 8];
#pragma unroll
      for (int i = 0; i < MI; i++)
#pragma unroll
        for (int j = 0; j < NI; j++) {
          if constexpr (BF16) mma_bf16(sum[i][j], x[i], y[j]);
          else mma_tf32(sum[i][j], x[i], y[j]);
        }
    }
  }

  // stage writes rows g (pass even) or g+8 (odd) of fragment pass/2.
  DEVICE void stage(int pass, float (*to)[SIDE_N + 4]) const {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int j = 0; j < NI; j++)
#pragma unroll
      for (int e = 0; e < 2; e++) {
        float v = 0;
#pragma unroll
        for (int p = 0; p < PASSES; p++)
          if (p == pass) v = sum[p / 2][j][p % 2 * 2 + e];
        to[warp_row() * 8 + g][warp_column() * (8 * NI) + j * 8 + 2 * t + e] = v;
      }
  }
  static DEVICE int row_of(int pass, int r) { return r / 8 * (16 * MI) + pass / 2 * 16 + pass % 2 * 8 + r % 8; }
};

typedef Tensor<128, 128, 2, 4, false> Tf32_128x128;
typedef Tensor<128, 64, 4, 2, false> Tf32_128x64;
typedef Tensor<128, 32, 8, 1, false> Tf32_128x32;
typedef Tensor<64, 64, 2, 2, false> Tf32_64x64;
typedef Tensor<128, 128, 2, 4, true> Bf16_128x128;
typedef Tensor<128, 64, 4, 2, true> Bf16_128x64;
typedef Tensor<128, 32, 8, 1, true> Bf16_128x32;
typedef Tensor<64, 64, 2, 2, true> Bf16_64x64;
