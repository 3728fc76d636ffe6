// Products cut into square tiles: matrix products and convolutions.
//
//   y[i,j] = epilogue(sum_k a[i,k]*b[k,j])
//
// A block computes SIDE_M x SIDE_N elements of y. It walks along k in steps of
// M::DEPTH terms: while it multiplies one step from shared memory, the next is on
// its way from device memory to registers, and goes to the other half of shared
// memory. Where a and b come from is a loader's business (matrices.cuh, conv.cuh);
// how factors are multiplied is M's (simt.cuh, tensor.cuh).
//
// A loader has
//   ALONG_K             four neighbours in memory are along k, else along i or j
//   Slot slot(outer)    what it needs to know of row i of a (column j of b)
//   float4 load(slot, k, end)   four elements from k on (ALONG_K) or of k, from
//                       outer on; those outside the matrix or from end on are 0
// A multiplier M has SIDE_M, SIDE_N, THREADS, DEPTH, its shared memory for a and b,
// and
//   store<ALONG_K>(memory, outer, k, quad), multiply(a, b), stage(pass, memory),
//   row_of(pass, r): PASSES times ROWS rows are all rows of the tile.
#pragma once
#include "common.cuh"

// Cut is how a product is cut; see tiling in backend/cuda/plan. The sum over k has
// `parts` parts of k_part terms, for blocks of their own.
struct Cut {
  int m, n, k, parts, k_part, aligned;
};
enum { ALIGNED_A = 1, ALIGNED_B = 2 };

// Output is y with its epilogue. Element (i,j) of group g is at i*ld + g*n + j.
struct Output {
  float* y;
  const float *bias, *ref;
  i64 ld;
  int act;
  float alpha;
  DEVICE void put(i64 i, int j, float v) const {
    if (bias) v += bias[j];
    i64 at = i * ld + j;
    y[at] = ref ? v * derivative(act, alpha, ref[at]) : activate(act, alpha, v);
  }
};

// slot_outer and slot_k say which quad of a tile thread t loads as its s-th.
template <class M, int SIDE, bool ALONG_K>
DEVICE int slot_outer(int s) {
  int q = threadIdx.x + s * M::THREADS;
  return ALONG_K ? q / (M::DEPTH / 4) : q % (SIDE / 4) * 4;
}
template <class M, int SIDE, bool ALONG_K>
DEVICE int slot_k(int s) {
  int q = threadIdx.x + s * M::THREADS;
  return ALONG_K ? q % (M::DEPTH / 4) * 4 : q / (SIDE / 4);
}

// A Feed brings one factor's tiles from device to shared memory.
template <class M, int SIDE, class L>
struct Feed {
  // A tile of few columns may have fewer quads than the block has threads.
  static constexpr int ALL = SIDE * M::DEPTH / 4, QUADS = (ALL + M::THREADS - 1) / M::THREADS;
  static_assert(ALL % M::THREADS == 0 || ALL < M::THREADS, "quads of a tile");
  const L& loader;
  typename L::Slot slots[QUADS];
  float4 quads[QUADS];
  DEVICE Feed(const L& l, int first) : loader(l) {
#pragma unroll
    for (int s = 0; s < QUADS; s++) slots[s] = loader.slot(first + slot_outer<M, SIDE, L::ALONG_K>(s));
  }
  DEVICE void load(int k, int end) {
#pragma unroll
    for (int s = 0; s < QUADS; s++) quads[s] = loader.load(slots[s], k + slot_k<M, SIDE, L::ALONG_K>(s), end);
  }
  // add adds what was loaded to this thread's four columns: for loaders across k,
  // which have the same columns in all slots of a thread.
  DEVICE void add(float4& sum) const {
    static_assert(L::ALONG_K || M::THREADS % (SIDE / 4) == 0, "columns of a thread");
    if (ALL < M::THREADS && threadIdx.x >= ALL) return;
#pragma unroll
    for (int s = 0; s < QUADS; s++)
      sum.x += quads[s].x, sum.y += quads[s].y, sum.z += quads[s].z, sum.w += quads[s].w;
  }
  template <class Memory>
  DEVICE void store(Memory& memory) {
    if (ALL < M::THREADS && threadIdx.x >= ALL) return;
#pragma unroll
    for (int s = 0; s < QUADS; s++)
      M::template store<L::ALONG_K>(memory, slot_outer<M, SIDE, L::ALONG_K>(s), slot_k<M, SIDE, L::ALONG_K>(s),
                                    quads[s]);
  }
};

// column_sums adds up what the threads of a block have of its columns from j0 on,
// in order of the threads, and writes them to `to`, which has n columns. Memory is
// shared, 16 bytes for each thread, and free when it returns.
template <class M>
DEVICE void column_sums(float* to, float4 mine, float4* memory, int j0, int n) {
  constexpr int COLUMNS = M::SIDE_N / 4;
  memory[threadIdx.x] = mine;
  __syncthreads();
  if (threadIdx.x < COLUMNS) {
    float4 sum = memory[threadIdx.x];
    for (int t = threadIdx.x + COLUMNS; t < M::THREADS; t += COLUMNS) {
      float4 v = memory[t];
      sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
    }
    int j = j0 + 4 * threadIdx.x;
    if (j < n) to[j] = sum.x;
    if (j + 1 < n) to[j + 1] = sum.y;
    if (j + 2 < n) to[j + 2] = sum.z;
    if (j + 3 < n) to[j + 3] = sum.w;
  }
  __syncthreads();
}

// tiled computes this block's tile. Blocks: x rows of tiles, y columns of tiles,
// z parts of each group in turn. With several parts each is written to scratch
// [groups, parts, m, n], and the last block of a tile adds them in order. With
// SUMS, unless sums is null, the first blocks of each column of tiles also compute
//   sums[j] = sum_k b[k,j]
// in float32, whatever the factors are rounded to; their parts are behind those of
// y, [parts, n]. There is one group then, and b is read across k.
template <class M, bool SUMS = false, class A, class B>
DEVICE void tiled(const A& a, const B& b, Output out, Cut cut, float* scratch, u32* counters, float* sums = nullptr) {
  constexpr int SIDE_M = M::SIDE_M, SIDE_N = M::SIDE_N;
  __shared__ union {
    struct {
      typename M::MemoryA a;
      typename M::MemoryB b;
    } half[2];
    float stage[M::ROWS][SIDE_N + 4];
    float4 columns[M::THREADS];
  } memory;
  int i0 = blockIdx.x * SIDE_M, j0 = blockIdx.y * SIDE_N, part = blockIdx.z % cut.parts, group = blockIdx.z / cut.parts;
  int first = part * cut.k_part, end = min(first + cut.k_part, cut.k);
  M math;
  Feed<M, SIDE_M, A> feed_a(a, i0);
  Feed<M, SIDE_N, B> feed_b(b, j0);
  const bool summing = SUMS && sums && blockIdx.x == 0;
  float4 column = make_float4(0, 0, 0, 0);
  feed_a.load(first, end);
  feed_b.load(first, end);
  if (summing) feed_b.add(column);
  feed_a.store(memory.half[0].a);
  feed_b.store(memory.half[0].b);
  __syncthreads();
  int now = 0;
  for (int k = first; k < end; k += M::DEPTH, now ^= 1) {
    bool more = k + M::DEPTH < end;
    if (more) {
      feed_a.load(k + M::DEPTH, end);
      feed_b.load(k + M::DEPTH, end);
    }
    math.multiply(memory.half[now].a, memory.half[now].b);
    if (more) {
      if (summing) feed_b.add(column);
      feed_a.store(memory.half[now ^ 1].a);
      feed_b.store(memory.half[now ^ 1].b);
    }
    __syncthreads();
  }
  i64 plane = i64(cut.m) * cut.n;
  float* partial = scratch + i64(group) * cut.parts * plane;
  float* partial_sums = partial + cut.parts * plane;
  if (summing)
    column_sums<M>(cut.parts == 1 ? sums : partial_sums + i64(part) * cut.n, column, memory.columns, j0, cut.n);
  // Through shared memory, so that rows of y are written whole and the epilogue is
  // compiled once, not once for each register.
#pragma unroll 1
  for (int pass = 0; pass < M::PASSES; pass++) {
    math.stage(pass, memory.stage);
    __syncthreads();
#pragma unroll 1
    for (int e = threadIdx.x; e < M::ROWS * SIDE_N; e += M::THREADS) {
      int i = i0 + M::row_of(pass, e / SIDE_N), j = j0 + e % SIDE_N;
      if (i >= cut.m || j >= cut.n) continue;
      float v = memory.stage[e / SIDE_N][e % SIDE_N];
      if (cut.parts == 1) out.put(i, group * cut.n + j, v);
      else partial[part * plane + i64(i) * cut.n + j] = v;
    }
    __syncthreads();
  }
  if (cut.parts == 1) return;
  int tile = (group * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  if (!last_block(counters + tile, cut.parts)) return;
#pragma unroll 1
  for (int e = threadIdx.x; e < SIDE_M * SIDE_N; e += M::THREADS) {
    int i = i0 + e / SIDE_N, j = j0 + e % SIDE_N;
    if (i >= cut.m || j >= cut.n) continue;
    const float* from = partial + i64(i) * cut.n + j;
    float v = from[0];
    for (int p = 1; p < cut.parts; p++) v += from[p * plane];
    out.put(i, group * cut.n + j, v);
  }
  int j = j0 + threadIdx.x;
  if (!summing || threadIdx.x >= SIDE_N || j >= cut.n) return;
  float v = partial_sums[j];
  for (int p = 1; p < cut.parts; p++) v += partial_sums[i64(p) * cut.n + j];
  sums[j] = v;
}
