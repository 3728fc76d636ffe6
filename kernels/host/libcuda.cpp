// A stand-in for the driver, libcuda.so.1, with one card that runs the kernels of
// ../*.cu on the host: enough of the driver's interface for gespann-cuda, so that
// the program itself can be tried without a card. A call on a thread without a
// context is an error, as are a wrong stream, a freed address and a launch that
// its kernel does not take. See ../../Makefile, gpu-emulate.
//
//   g++ -std=c++17 -O1 -ffp-contract=off -fno-strict-aliasing -w -shared -fPIC -o libcuda.so.1 libcuda.cpp
#define main emulator_main
#include "main.cpp"
#undef main

#include <chrono>
#include <functional>
#include <mutex>
#include <set>

namespace {

enum Result {
  SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, INVALID_CONTEXT = 201, INVALID_HANDLE = 400,
  NOT_FOUND = 500, LAUNCH_FAILED = 719, CAPTURE_UNSUPPORTED = 900,
  CAPTURE_UNJOINED = 904,
};

constexpr uint64_t total_bytes = 1ull << 30;
std::recursive_mutex mutex;  // of all that follows
uint64_t used_bytes = 0;
std::map<uint64_t, uint64_t> blocks;  // size by address
thread_local void* current_context = nullptr;
int contexts = 0, streams = 0;

typedef std::vector<std::function<Result()>> Graph;
Graph* capturing = nullptr;
std::vector<void*> captured;  // streams: that which began the capture first
std::set<void*> unjoined;     // captured streams with work that the first has not waited for

bool is_captured(void* s) { return std::find(captured.begin(), captured.end(), s) != captured.end(); }

typedef std::chrono::steady_clock Clock;
struct Event {
  void* stream;
  Clock::time_point at;
};

bool inside(uint64_t at, size_t n) {
  auto b = blocks.upper_bound(at);
  return b != blocks.begin() && (--b, at + n <= b->first + b->second);
}

// ready checks what every call needs.
Result ready() { return current_context ? SUCCESS : INVALID_CONTEXT; }

// enqueue does something, or notes it for a graph.
Result enqueue(void* stream, std::function<Result()> what) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  if (ready()) return ready();
  if (!stream) return INVALID_HANDLE;
  if (!capturing) return what();
  if (!is_captured(stream)) return CAPTURE_UNSUPPORTED;
  if (stream != captured[0]) unjoined.insert(stream);
  capturing->push_back(what);
  return SUCCESS;
}

// copy is not for capturing: sessions do not.
Result copy(void* to, const void* from, size_t n, void* stream, uint64_t device_address) {
  if (capturing) return CAPTURE_UNSUPPORTED;
  return enqueue(stream, [=] {
    if (!inside(device_address, n)) return INVALID_VALUE;
    std::memcpy(to, from, n);
    return SUCCESS;
  });
}

}  // namespace

extern "C" {

// For libcublaslt.cpp.
int emulated_enqueue(void* stream, std::function<int()>* what) {
  auto f = *what;
  return enqueue(stream, [=] { return Result(f()); });
}
bool emulated_inside(uint64_t at, size_t n) { return inside(at, n); }

int cuInit(unsigned) { return SUCCESS; }
int cuDriverGetVersion(int* v) { *v = 12040; return SUCCESS; }
int cuGetErrorName(int r, const char** name) {
  switch (r) {
    case INVALID_VALUE: *name = "CUDA_ERROR_INVALID_VALUE"; break;
    case INVALID_CONTEXT: *name = "CUDA_ERROR_INVALID_CONTEXT"; break;
    case INVALID_HANDLE: *name = "CUDA_ERROR_INVALID_HANDLE"; break;
    case LAUNCH_FAILED: *name = "CUDA_ERROR_LAUNCH_FAILED"; break;
    default: *name = "CUDA_ERROR_UNKNOWN";
  }
  return SUCCESS;
}

int cuDeviceGetCount(int* n) { *n = 1; return SUCCESS; }
int cuDeviceGet(int* d, int i) { *d = i; return i == 0 ? SUCCESS : INVALID_DEVICE; }
int cuDeviceGetName(char* name, int n, int) { std::strncpy(name, "Emulated card", n); return SUCCESS; }
int cuDeviceTotalMem_v2(size_t* n, int) { *n = total_bytes; return SUCCESS; }
int cuDeviceGetAttribute(int* v, int what, int) {
  switch (what) {
    case 16: *v = 2; break;  // multiprocessors
    case 75: *v = 8; break;  // compute capability
    default: *v = 0;
  }
  return SUCCESS;
}

int cuCtxCreate_v2(void** c, unsigned, int) {
  *c = current_context = new char;
  contexts++;
  return SUCCESS;
}
int cuCtxDestroy_v2(void* c) {
  if (c == current_context) current_context = nullptr;
  contexts--;
  return SUCCESS;
}
int cuCtxPopCurrent_v2(void** c) { *c = current_context; current_context = nullptr; return SUCCESS; }
int cuCtxSetCurrent(void* c) { current_context = c; return SUCCESS; }

int cuMemGetInfo_v2(size_t* free, size_t* total) {
  *free = total_bytes - used_bytes;
  *total = total_bytes;
  return ready();
}
int cuMemAlloc_v2(uint64_t* at, size_t n) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  if (ready()) return ready();
  if (n == 0) return INVALID_VALUE;
  if (used_bytes + n > total_bytes) return OUT_OF_MEMORY;
  *at = (uint64_t)std::aligned_alloc(256, (n + 255) / 256 * 256);
  std::memset((void*)*at, 0xff, n);
  blocks[*at] = n;
  used_bytes += n;
  return SUCCESS;
}
int cuMemFree_v2(uint64_t at) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  if (ready()) return ready();
  auto b = blocks.find(at);
  if (b == blocks.end()) return INVALID_VALUE;
  used_bytes -= b->second;
  blocks.erase(b);
  std::free((void*)at);
  return SUCCESS;
}
int cuMemHostAlloc(void** p, size_t n, unsigned) {
  *p = std::aligned_alloc(4096, (n + 4095) / 4096 * 4096);
  return ready();
}

int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t n, void* s) { return copy((void*)to, from, n, s, to); }
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t n, void* s) { return copy(to, (void*)from, n, s, from); }
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t n, void* s) {
  return copy((void*)to, (void*)from, n, s, to);
}
int cuMemsetD8Async(uint64_t at, unsigned char v, size_t n, void* s) {
  return enqueue(s, [=] {
    if (!inside(at, n)) return INVALID_VALUE;
    std::memset((void*)at, v, n);
    return SUCCESS;
  });
}

int cuStreamCreate(void** s, unsigned) { *s = new char; streams++; return ready(); }
int cuStreamSynchronize(void* s) { return enqueue(s, [] { return SUCCESS; }); }
int cuStreamBeginCapture_v2(void* s, int) {
  if (capturing || !s) return INVALID_VALUE;
  capturing = new Graph;
  captured = {s};
  return ready();
}
// A stream that a capture has taken in must have been joined by that which began it.
int cuStreamEndCapture(void* s, void** g) {
  *g = capturing;
  capturing = nullptr;
  if (!*g || captured[0] != s) return INVALID_VALUE;
  return unjoined.empty() ? SUCCESS : CAPTURE_UNJOINED;
}
int cuStreamWaitEvent(void* s, void* e, unsigned) {
  if (!s || !e) return INVALID_HANDLE;
  void* from = ((Event*)e)->stream;
  if (capturing && is_captured(from) && !is_captured(s)) captured.push_back(s);
  if (capturing && s == captured[0]) unjoined.erase(from);
  return ready();
}
int cuGraphInstantiateWithFlags(void** exec, void* g, unsigned long long) { *exec = new Graph(*(Graph*)g); return SUCCESS; }
int cuGraphDestroy(void* g) { delete (Graph*)g; return SUCCESS; }
int cuGraphExecDestroy(void* g) { delete (Graph*)g; return SUCCESS; }
int cuGraphLaunch(void* g, void* s) {
  return enqueue(s, [=] {
    for (auto& what : *(Graph*)g)
      if (Result r = what()) return r;
    return SUCCESS;
  });
}

int cuEventCreate(void** e, unsigned) { *e = new Event(); return ready(); }
int cuEventDestroy_v2(void* e) { delete (Event*)e; return SUCCESS; }
int cuEventRecord(void* e, void* s) {
  if (!e || !s) return INVALID_HANDLE;
  *(Event*)e = {s, Clock::now()};
  return ready();
}
int cuEventElapsedTime(float* ms, void* from, void* to) {
  if (!from || !to) return INVALID_HANDLE;
  *ms = std::chrono::duration<float, std::milli>(((Event*)to)->at - ((Event*)from)->at).count();
  return ready();
}
int cuEventSynchronize(void* e) { return e ? ready() : INVALID_HANDLE; }

int cuModuleLoadData(void** m, const void* text) { *m = (void*)text; return ready(); }
int cuModuleGetFunction(void** f, void*, const char* name) {
  auto k = kernels().find(name);
  if (k == kernels().end()) return NOT_FOUND;
  *f = &k->second;
  return ready();
}
int cuFuncSetAttribute(void* f, int, int) { return f ? ready() : INVALID_HANDLE; }

int cuLaunchKernel(void* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned,
                   void* stream, void** params, void**) {
  Kernel* k = (Kernel*)f;
  std::vector<Argument> list = k->like;
  for (size_t i = 0; i < list.size(); i++) std::memcpy(list[i].bytes.data(), params[i], list[i].bytes.size());
  if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || !bx || bx > k->block || by != 1 || bz != 1) return INVALID_VALUE;
  return enqueue(stream, [=] {
    gridDim = {gx, gy, gz};
    blockDim = {bx, by, bz};
    Arguments args{list};
    std::string error = k->launch(k->f, args);
    if (error.empty()) return SUCCESS;
    std::fprintf(stderr, "libcuda.so.1: %s\n", error.c_str());
    return LAUNCH_FAILED;
  });
}

}  // extern "C"
