// A device in a process: reads requests on standard input, answers on standard
// output. See ../emulator/device.go for the protocol.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <tuple>

#include "shim.h"

#include "../batch.cu"
#include "../batch_norm.cu"
#include "../conv.cu"
#include "../conv_bf16.cu"
#include "../conv_tf32.cu"
#include "../elementwise.cu"
#include "../loss.cu"
#include "../matmul.cu"
#include "../matmul_bf16.cu"
#include "../matmul_tf32.cu"
#include "../norm.cu"
#include "../optimizer.cu"
#include "../pool.cu"
#include "../structure.cu"

#ifndef __x86_64__
#include <ucontext.h>
#endif

Index3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

std::map<std::string, Kernel>& kernels() {
  static std::map<std::string, Kernel> all;
  return all;
}

constexpr size_t stack_bytes = 64 << 10;
constexpr unsigned max_threads = 1024;

// A Fiber is a thread of the block that runs.
struct Fiber {
#ifdef __x86_64__
  void* sp;
#else
  ucontext_t context;
#endif
  Wait state;
  unsigned operations;
};

Fiber fibers[max_threads], scheduler;
alignas(64) char warp_buffers[max_threads / 32][2 * 32 * 64];
char* stacks;
unsigned current;
Body* body;

#ifdef __x86_64__
// swap saves the registers that a call must keep on the stack, and the stack
// pointer to *from, and goes on where `to` was saved.
extern "C" void emulator_swap(void** from, void* to);
asm(R"(
.text
.globl emulator_swap
emulator_swap:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
)");
void swap(Fiber& from, Fiber& to) { emulator_swap(&from.sp, to.sp); }
#else
void swap(Fiber& from, Fiber& to) { swapcontext(&from.context, &to.context); }
#endif

void entry() {
  body->run();
  fibers[current].state = DONE;
  swap(fibers[current], scheduler);
}

void prepare(unsigned t) {
  Fiber& f = fibers[t];
  f.state = READY;
  f.operations = 0;
  char* stack = stacks + t * stack_bytes;
#ifdef __x86_64__
  void** sp = (void**)(stack + stack_bytes - 64);
  *--sp = nullptr;  // where entry would return to: keeps the stack aligned
  *--sp = (void*)entry;
  for (int i = 0; i < 6; i++) *--sp = nullptr;
  f.sp = sp;
#else
  getcontext(&f.context);
  f.context.uc_stack.ss_sp = stack;
  f.context.uc_stack.ss_size = stack_bytes;
  f.context.uc_link = nullptr;
  makecontext(&f.context, entry, 0);
#endif
}

void wait(Wait what) {
  fibers[current].state = what;
  swap(fibers[current], scheduler);
}
unsigned lane_operations() { return fibers[current].operations++; }
void* warp_memory() { return warp_buffers[current / 32]; }

void resume(unsigned t) {
  current = t;
  threadIdx = {t, 0, 0};
  swap(scheduler, fibers[t]);
}

// release makes the threads from first on ready if all of them wait for `what`, and
// reports whether they do. Those that have ended can no longer come: kernels let all
// threads of a block, or of a warp, reach its barriers.
bool release(unsigned first, unsigned n, Wait what) {
  for (unsigned t = first; t < first + n; t++)
    if (fibers[t].state != what) return false;
  for (unsigned t = first; t < first + n; t++) fibers[t].state = READY;
  return true;
}

// run_warp runs a warp until all its threads wait for the block, have ended, or are
// stuck.
void run_warp(unsigned first, unsigned n, bool backwards) {
  do {
    for (unsigned i = 0; i < n; i++) {
      unsigned t = first + (backwards ? n - 1 - i : i);
      if (fibers[t].state == READY) resume(t);
    }
  } while (release(first, n, IN_WARP));
}

std::string run_block(unsigned n, bool backwards) {
  for (unsigned t = 0; t < n; t++) prepare(t);
  unsigned warps = (n + 31) / 32;
  do {
    for (unsigned i = 0; i < warps; i++) {
      unsigned first = 32 * (backwards ? warps - 1 - i : i);
      run_warp(first, std::min(32u, n - first), backwards);
    }
  } while (release(0, n, AT_BARRIER));
  for (unsigned t = 0; t < n; t++)
    if (fibers[t].state != DONE)
      return "thread " + std::to_string(t) + " waits for " + (fibers[t].state == IN_WARP ? "its warp" : "its block") +
             ", others do not";
  return "";
}

std::string run_grid(Body& b) {
  if (!stacks) stacks = (char*)std::malloc(stack_bytes * max_threads);
  body = &b;
  unsigned n = blockDim.x * blockDim.y * blockDim.z;
  for (unsigned z = 0; z < gridDim.z; z++)
    for (unsigned y = 0; y < gridDim.y; y++)
      for (unsigned x = 0; x < gridDim.x; x++) {
        blockIdx = {x, y, z};
        std::string error = run_block(n, (x + y + z) % 2);
        if (!error.empty())
          return "block " + std::to_string(x) + "," + std::to_string(y) + "," + std::to_string(z) + ": " + error;
      }
  return "";
}

}  // namespace emulator

using namespace emulator;

static void get(void* p, size_t n) {
  if (std::fread(p, 1, n, stdin) != n) std::exit(0);
}
template <class T>
static T get() {
  T v;
  get(&v, sizeof v);
  return v;
}
static void put(const void* p, size_t n) {
  if (std::fwrite(p, 1, n, stdout) != n) std::exit(1);
}
static void answer(const std::string& text) {
  uint32_t n = text.size();
  put(&n, 4);
  put(text.data(), n);
  std::fflush(stdout);
}

static std::string launch() {
  std::string name(get<uint32_t>(), ' ');
  get(&name[0], name.size());
  get(&gridDim, sizeof gridDim);
  get(&blockDim, sizeof blockDim);
  std::vector<Argument> list(get<uint32_t>());
  for (Argument& a : list) {
    a.kind = get<uint8_t>();
    a.bytes.resize(get<uint32_t>());
    get(a.bytes.data(), a.bytes.size());
  }
  auto k = kernels().find(name);
  if (k == kernels().end()) return "there is no such kernel";
  unsigned n = blockDim.x * blockDim.y * blockDim.z;
  if (n == 0 || n > k->second.block || blockDim.y != 1 || blockDim.z != 1)
    return "block is " + std::to_string(n) + ", the kernel takes at most " + std::to_string(k->second.block) + "x1x1";
  if (gridDim.x == 0 || gridDim.y == 0 || gridDim.z == 0 || gridDim.x > 0x7fffffffu || gridDim.y > 65535 ||
      gridDim.z > 65535)
    return "grid is " + std::to_string(gridDim.x) + "x" + std::to_string(gridDim.y) + "x" + std::to_string(gridDim.z);
  Arguments args{list};
  return k->second.launch(k->second.f, args);
}

int main() {
  char* memory = nullptr;
  uint64_t size = 0;
  for (;;) {
    switch (get<uint8_t>()) {
      case 'N': {  // names of kernels
        std::string names;
        for (auto& k : kernels()) names += k.first + "\n";
        answer(names);
        break;
      }
      case 'M': {  // memory
        std::free(memory);
        size = (get<uint64_t>() + 255) / 256 * 256;
        memory = (char*)std::aligned_alloc(256, size);
        uint64_t base = (uint64_t)memory;
        put(&base, 8);
        std::fflush(stdout);
        break;
      }
      case 'W': {
        uint64_t at = get<uint64_t>(), n = get<uint64_t>();
        if (at + n > size) std::exit(3);
        get(memory + at, n);
        break;
      }
      case 'R': {
        uint64_t at = get<uint64_t>(), n = get<uint64_t>();
        if (at + n > size) std::exit(3);
        put(memory + at, n);
        std::fflush(stdout);
        break;
      }
      case 'L': answer(launch()); break;
      default: std::exit(2);
    }
  }
}
