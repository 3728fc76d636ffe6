// A stand-in for cuBLASLt beside that for the driver: the functions that
// backend/cuda/blaslt_cu.go calls, for float32 matrices. Descriptions that do not fit
// together, alignments that are promised and not kept, and a workspace that is not
// device memory are errors. See ../../Makefile, gpu-emulate.
//
//   g++ -std=c++17 -O1 -w -shared -fPIC -o libcublasLt.so.12 libcublaslt.cpp
#include <cstdint>
#include <cstring>
#include <functional>

#include "rounding.h"

// Of libcuda.cpp: puts work into a stream, or into what is captured.
extern "C" int emulated_enqueue(void* stream, std::function<int()>* what);
extern "C" bool emulated_inside(uint64_t at, size_t n);

namespace {

enum { SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { FAST_16BF = 75, FAST_TF32 = 77 };

struct Desc {
  int compute, trans_a = 0, trans_b = 0, epilogue = 1;
  uint64_t bias = 0;
};
struct Layout {
  uint64_t rows, cols;
  int64_t ld;
  float* at(void* p, uint64_t i, uint64_t j) const { return (float*)p + i + j * ld; }
};
struct Preference {
  uint64_t workspace = 0;
  uint32_t align[4] = {256, 256, 256, 256};
};
struct Heuristic {
  uint64_t algo[8];
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
};

constexpr size_t wanted_workspace = 4096;

bool fits(const Desc& d, const Layout& a, const Layout& b, const Layout& y, uint64_t* k) {
  uint64_t m = d.trans_a ? a.cols : a.rows, n = d.trans_b ? b.rows : b.cols, kb = d.trans_b ? b.cols : b.rows;
  *k = d.trans_a ? a.rows : a.cols;
  return m == y.rows && n == y.cols && *k == kb && a.ld >= (int64_t)a.rows && b.ld >= (int64_t)b.rows &&
         y.ld >= (int64_t)y.rows;
}

float rounded(const Desc& d, float v) {
  return d.compute == FAST_TF32 ? float_of(round_tf32(v)) : float_of(round_bf16(v) << 16);
}

int multiply(Desc d, Layout a, Layout b, Layout y, uint64_t k, void* pa, void* pb, void* py) {
  for (uint64_t i = 0; i < y.rows; i++)
    for (uint64_t j = 0; j < y.cols; j++) {
      float sum = 0;
      for (uint64_t p = 0; p < k; p++)
        sum += rounded(d, d.trans_a ? *a.at(pa, p, i) : *a.at(pa, i, p)) *
               rounded(d, d.trans_b ? *b.at(pb, j, p) : *b.at(pb, p, j));
      if (d.epilogue == 4) sum += ((float*)d.bias)[i];
      *y.at(py, i, j) = sum;
    }
  return SUCCESS;
}

}  // namespace

extern "C" {

size_t cublasLtGetVersion() { return 120000; }
int cublasLtCreate(void** h) { *h = new char; return SUCCESS; }
int cublasLtDestroy(void* h) { delete (char*)h; return SUCCESS; }

int cublasLtMatmulDescCreate(void** d, int compute, int scale) {
  if (scale != 0 || (compute != FAST_16BF && compute != FAST_TF32)) return INVALID_VALUE;
  *d = new Desc{compute};
  return SUCCESS;
}
int cublasLtMatmulDescDestroy(void* d) { delete (Desc*)d; return SUCCESS; }
int cublasLtMatmulDescSetAttribute(void* desc, int what, const void* v, size_t n) {
  Desc* d = (Desc*)desc;
  switch (what) {
    case 3: return n == 4 ? (std::memcpy(&d->trans_a, v, n), SUCCESS) : INVALID_VALUE;
    case 4: return n == 4 ? (std::memcpy(&d->trans_b, v, n), SUCCESS) : INVALID_VALUE;
    case 7: return n == 4 ? (std::memcpy(&d->epilogue, v, n), SUCCESS) : INVALID_VALUE;
    case 8: return n == 8 ? (std::memcpy(&d->bias, v, n), SUCCESS) : INVALID_VALUE;
  }
  return INVALID_VALUE;
}

int cublasLtMatrixLayoutCreate(void** l, int type, uint64_t rows, uint64_t cols, int64_t ld) {
  if (type != 0 || !rows || !cols) return INVALID_VALUE;
  *l = new Layout{rows, cols, ld};
  return SUCCESS;
}
int cublasLtMatrixLayoutDestroy(void* l) { delete (Layout*)l; return SUCCESS; }

int cublasLtMatmulPreferenceCreate(void** p) { *p = new Preference; return SUCCESS; }
int cublasLtMatmulPreferenceDestroy(void* p) { delete (Preference*)p; return SUCCESS; }
int cublasLtMatmulPreferenceSetAttribute(void* pref, int what, const void* v, size_t n) {
  Preference* p = (Preference*)pref;
  if (what == 1 && n == 8) return std::memcpy(&p->workspace, v, n), SUCCESS;
  if (what >= 5 && what <= 8 && n == 4) return std::memcpy(&p->align[what - 5], v, n), SUCCESS;
  return INVALID_VALUE;
}

int cublasLtMatmulAlgoGetHeuristic(void*, void* desc, void* a, void* b, void* c, void* y, void* pref, int wanted,
                                   Heuristic* found, int* count) {
  Preference* p = (Preference*)pref;
  uint64_t k;
  *count = 0;
  if (wanted < 1 || c != y || !fits(*(Desc*)desc, *(Layout*)a, *(Layout*)b, *(Layout*)y, &k)) return INVALID_VALUE;
  if (p->workspace < wanted_workspace) return SUCCESS;
  std::memset(found, 0, sizeof *found);
  for (int i = 0; i < 4; i++) found->algo[i] = p->align[i];
  found->workspace = wanted_workspace;
  *count = 1;
  return SUCCESS;
}

int cublasLtMatmul(void*, void* desc, const float* alpha, void* a, void* la, void* b, void* lb, const float* beta,
                   void* c, void* lc, void* y, void* ly, const uint64_t* algo, void* workspace, size_t workspace_bytes,
                   void* stream) {
  Desc d = *(Desc*)desc;
  Layout left = *(Layout*)la, right = *(Layout*)lb, out = *(Layout*)ly;
  uint64_t k;
  if (*alpha != 1 || *beta != 0 || c != y || lc != ly || !fits(d, left, right, out, &k)) return INVALID_VALUE;
  void* pointers[4] = {a, b, c, y};
  for (int i = 0; i < 4; i++)
    if (!algo[i] || (uint64_t)pointers[i] % algo[i]) return INVALID_VALUE;
  if (workspace_bytes < wanted_workspace || !emulated_inside((uint64_t)workspace, workspace_bytes)) return INVALID_VALUE;
  if (!emulated_inside((uint64_t)a, left.ld * left.cols * 4) || !emulated_inside((uint64_t)b, right.ld * right.cols * 4) ||
      !emulated_inside((uint64_t)y, out.ld * out.cols * 4) || (d.bias && !emulated_inside(d.bias, out.rows * 4)))
    return INVALID_VALUE;
  std::function<int()> what = [=] { return multiply(d, left, right, out, k, a, b, y); };
  return emulated_enqueue(stream, &what) ? INVALID_VALUE : SUCCESS;
}

}  // extern "C"
