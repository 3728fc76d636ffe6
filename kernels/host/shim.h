// The part of CUDA C++ that the kernels use, for a host compiler.
//
// A block's threads are fibers on one thread of the host; blocks run one after the
// other. A fiber runs until it reaches a barrier or an operation of its warp, so
// shared memory is ordinary static memory. Odd blocks run their threads backwards:
// a missing barrier then shows as a wrong number. Operations of a warp that some of
// its lanes do not reach, and barriers that some threads miss, are errors.
#pragma once
#define EMULATED

#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "rounding.h"

#define DEVICE inline
#define __shared__ static
#define INFINITY_F ((float)INFINITY)
#define NAN_F ((float)NAN)
#define KERNEL(name, block, ...)                                                \
  extern "C" void name(__VA_ARGS__);                                            \
  static emulator::Registration registration_of_##name(#name, (name), (block)); \
  extern "C" void name(__VA_ARGS__)

using std::max;
using std::min;

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

struct Index3 {
  unsigned x, y, z;
};
extern Index3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

// An Argument as it comes from the host: the kind is that of plan.ArgKind.
struct Argument {
  uint8_t kind;
  std::vector<uint8_t> bytes;
};

// kind_of returns the plan.ArgKind of a type.
template <class T>
uint8_t kind_of() {
  const bool is[] = {std::is_pointer<T>::value,        std::is_same<T, int>::value,
                     std::is_same<T, long long>::value, std::is_same<T, unsigned>::value,
                     std::is_same<T, unsigned long long>::value, std::is_same<T, float>::value,
                     std::is_same<T, double>::value,   std::is_class<T>::value};
  uint8_t kind = 0;
  while (!is[kind]) kind++;
  return kind;
}

// Arguments decodes and checks a kernel's arguments in turn.
struct Arguments {
  const std::vector<Argument>& list;
  size_t next = 0;
  std::string error;
  template <class T>
  T take() {
    T v{};
    if (next >= list.size()) {
      error = "too few arguments";
      return v;
    }
    const Argument& a = list[next++];
    if (a.kind != kind_of<T>() || a.bytes.size() != sizeof(T)) {
      error = "argument " + std::to_string(next - 1) + ": kind " + std::to_string(a.kind) + " of " +
              std::to_string(a.bytes.size()) + " bytes, the kernel takes " + std::to_string(sizeof(T)) + " or another kind";
      return v;
    }
    std::memcpy(&v, a.bytes.data(), sizeof(T));
    return v;
  }
};

// run_grid runs body once for each thread of each block.
struct Body {
  virtual void run() = 0;
};
std::string run_grid(Body& body);

struct Kernel {
  unsigned block;  // largest
  std::string (*launch)(void (*f)(), Arguments& a);
  void (*f)();
  std::vector<Argument> like;  // of the same types, all zeros
};
std::map<std::string, Kernel>& kernels();

template <class... P>
struct Call : Body {
  void (*f)(P...);
  std::tuple<P...>* args;
  void run() override { std::apply(f, *args); }
};

struct Registration {
  template <class... P>
  Registration(const char* name, void (*f)(P...), unsigned block) {
    kernels()[name] = {block,
                       [](void (*g)(), Arguments& a) -> std::string {
                         std::tuple<P...> args{a.take<P>()...};  // in order, as braces are
                         if (a.error.empty() && a.next != a.list.size()) a.error = "too many arguments";
                         if (!a.error.empty()) return a.error;
                         Call<P...> call;
                         call.f = (void (*)(P...))g;
                         call.args = &args;
                         return run_grid(call);
                       },
                       (void (*)())f,
                       {Argument{kind_of<P>(), std::vector<uint8_t>(sizeof(P))}...}};
  }
};

enum Wait { READY, AT_BARRIER, IN_WARP, DONE };
void wait(Wait what);

// exchange gives every lane of a warp what all lanes have brought.
template <class T>
const T* exchange(const T& mine);
unsigned lane_operations();  // of this thread, counted up
void* warp_memory();         // of this warp, 2 * 32 * 64 bytes

template <class T>
const T* exchange(const T& mine) {
  static_assert(sizeof(T) <= 64, "what a lane brings");
  // Two halves in turn: nobody writes the half of this operation before all lanes
  // have reached the next, and so have read it.
  T* half = (T*)((char*)warp_memory() + lane_operations() % 2 * (32 * 64));
  half[threadIdx.x % 32] = mine;
  wait(IN_WARP);
  return half;
}

}  // namespace emulator

inline void __syncthreads() { emulator::wait(emulator::AT_BARRIER); }
inline void __threadfence() {}
template <class T>
T __shfl_xor_sync(unsigned, T v, int with) {
  return emulator::exchange(v)[(threadIdx.x % 32) ^ with];
}
inline unsigned __ballot_sync(unsigned, bool p) {
  const int* all = emulator::exchange(int(p));
  unsigned bits = 0;
  for (int i = 0; i < 32; i++) bits |= unsigned(all[i]) << i;
  return bits;
}
inline unsigned atomicAdd(unsigned* p, unsigned v) {
  unsigned old = *p;
  *p += v;
  return old;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((unsigned long long)a * b >> 32); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline int __ffs(unsigned v) { return __builtin_ffs(int(v)); }

inline unsigned pack_bf16(float lo, float hi) { return round_bf16(lo) | round_bf16(hi) << 16; }

struct Fragments {
  unsigned a[4], b[2];
};

// mma computes this lane's four elements from the fragments of all lanes; dot
// multiplies two words.
template <class Dot>
void mma(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], Dot dot) {
  Fragments mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  const Fragments* all = emulator::exchange(mine);
  int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  for (int e = 0; e < 4; e++) {
    int half = e / 2, column = 2 * t + e % 2;  // row g + 8*half
    for (int k = 0; k < 8; k++)
      c[e] += dot(all[g * 4 + k % 4].a[half + k / 4 * 2], all[column * 4 + k % 4].b[k / 4]);
  }
}
inline void mma_tf32(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  mma(c, a, b, [](unsigned x, unsigned y) { return float_of(x) * float_of(y); });
}
inline void mma_bf16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  mma(c, a, b, [](unsigned x, unsigned y) {
    return float_of(x << 16) * float_of(y << 16) + float_of(x & 0xffff0000u) * float_of(y & 0xffff0000u);
  });
}
