//go:build gpu

package cuda

// cuBLASLt, the part of NVIDIA's library for matrix products that leaves memory and
// streams to its caller. It is opened where there is one: neither building nor
// running needs it. The few declarations below are those of cublasLt.h, which has
// had them since CUDA 11.

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cuda.h>

enum { COMPUTE_FAST_16BF = 75, COMPUTE_FAST_TF32 = 77, TYPE_F32 = 0 };
enum { DESC_TRANSA = 3, DESC_TRANSB = 4, DESC_EPILOGUE = 7, DESC_BIAS_POINTER = 8, EPILOGUE_BIAS = 4 };
enum { PREF_MAX_WORKSPACE = 1, PREF_MIN_ALIGNMENT_A = 5 };  // B, C and D follow
enum { NOT_SUPPORTED = 15 };

typedef struct { uint64_t data[8]; } Algo;
typedef struct { Algo algo; size_t workspace; int status; float waves; int reserved[4]; } Heuristic;

typedef struct {
	void *so, *handle;
	size_t (*version)(void);
	int (*create)(void **), (*destroy)(void *);
	int (*desc_create)(void **, int, int), (*desc_set)(void *, int, const void *, size_t), (*desc_destroy)(void *);
	int (*layout_create)(void **, int, uint64_t, uint64_t, int64_t), (*layout_destroy)(void *);
	int (*pref_create)(void **), (*pref_set)(void *, int, const void *, size_t), (*pref_destroy)(void *);
	int (*heuristic)(void *, void *, void *, void *, void *, void *, void *, int, Heuristic *, int *);
	int (*matmul)(void *, void *, const void *, const void *, void *, const void *, void *, const void *,
	              const void *, void *, void *, void *, const Algo *, void *, size_t, void *);
} Lt;

// lt_open opens the library of a name, and returns what is missing, or null.
static const char *lt_open(Lt *lt, const char *name) {
	memset(lt, 0, sizeof *lt);
	lt->so = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!lt->so) return name;
	struct { void *to; const char *name; } list[] = {
		{&lt->version, "cublasLtGetVersion"}, {&lt->create, "cublasLtCreate"}, {&lt->destroy, "cublasLtDestroy"},
		{&lt->desc_create, "cublasLtMatmulDescCreate"}, {&lt->desc_set, "cublasLtMatmulDescSetAttribute"},
		{&lt->desc_destroy, "cublasLtMatmulDescDestroy"}, {&lt->layout_create, "cublasLtMatrixLayoutCreate"},
		{&lt->layout_destroy, "cublasLtMatrixLayoutDestroy"}, {&lt->pref_create, "cublasLtMatmulPreferenceCreate"},
		{&lt->pref_set, "cublasLtMatmulPreferenceSetAttribute"}, {&lt->pref_destroy, "cublasLtMatmulPreferenceDestroy"},
		{&lt->heuristic, "cublasLtMatmulAlgoGetHeuristic"}, {&lt->matmul, "cublasLtMatmul"},
	};
	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		void *symbol = dlsym(lt->so, list[i].name);
		if (!symbol) {
			dlclose(lt->so);
			lt->so = 0;
			return list[i].name;
		}
		memcpy(list[i].to, &symbol, sizeof symbol);
	}
	return 0;
}

static int lt_create(Lt *lt) { return lt->create(&lt->handle); }
static size_t lt_version(Lt *lt) { return lt->version(); }
static void lt_close(Lt *lt) { if (lt->handle) lt->destroy(lt->handle); lt->handle = 0; }

// A Product is y = op(a)*op(b), perhaps plus bias, in column-major terms: the
// library multiplies the transposes, yT [n,m] = op(b)T*op(a)T.
typedef struct {
	void *desc, *left, *right, *out;
	CUdeviceptr a, b, y;
	Heuristic found;
	CUdeviceptr workspace;
	size_t workspace_bytes;
} Product;

static void product_free(Lt *lt, Product *p) {
	if (p->desc) lt->desc_destroy(p->desc);
	if (p->left) lt->layout_destroy(p->left);
	if (p->right) lt->layout_destroy(p->right);
	if (p->out) lt->layout_destroy(p->out);
	free(p);
}

// alignment is the largest power of 2 up to 256 that divides an address.
static uint32_t alignment(CUdeviceptr a) { return (a | 256) & -(a | 256); }

static int product_make(Lt *lt, Product *p, int compute, uint64_t m, uint64_t n, uint64_t k, int ta, int tb,
                        CUdeviceptr bias) {
	int r, found = 0;
	void *pref = 0;
	if ((r = lt->desc_create(&p->desc, compute, TYPE_F32))) return r;
	if ((r = lt->desc_set(p->desc, DESC_TRANSA, &tb, sizeof tb))) return r;
	if ((r = lt->desc_set(p->desc, DESC_TRANSB, &ta, sizeof ta))) return r;
	if (bias) {
		int epilogue = EPILOGUE_BIAS;
		if ((r = lt->desc_set(p->desc, DESC_EPILOGUE, &epilogue, sizeof epilogue))) return r;
		if ((r = lt->desc_set(p->desc, DESC_BIAS_POINTER, &bias, sizeof bias))) return r;
	}
	if ((r = tb ? lt->layout_create(&p->left, TYPE_F32, k, n, k) : lt->layout_create(&p->left, TYPE_F32, n, k, n))) return r;
	if ((r = ta ? lt->layout_create(&p->right, TYPE_F32, m, k, m) : lt->layout_create(&p->right, TYPE_F32, k, m, k))) return r;
	if ((r = lt->layout_create(&p->out, TYPE_F32, n, m, n))) return r;
	if ((r = lt->pref_create(&pref))) return r;
	uint64_t workspace = p->workspace_bytes;
	uint32_t align[4] = {alignment(p->b), alignment(p->a), alignment(p->y), alignment(p->y)};
	r = lt->pref_set(pref, PREF_MAX_WORKSPACE, &workspace, sizeof workspace);
	for (int i = 0; i < 4 && !r; i++) r = lt->pref_set(pref, PREF_MIN_ALIGNMENT_A + i, &align[i], sizeof align[i]);
	if (!r) r = lt->heuristic(lt->handle, p->desc, p->left, p->right, p->out, p->out, pref, 1, &p->found, &found);
	lt->pref_destroy(pref);
	if (r) return r;
	return found ? p->found.status : NOT_SUPPORTED;
}

static int product_run(Lt *lt, Product *p, CUstream stream) {
	float one = 1, zero = 0;
	return lt->matmul(lt->handle, p->desc, &one, (void *)p->b, p->left, (void *)p->a, p->right, &zero, (void *)p->y, p->out,
	                  (void *)p->y, p->out, &p->found.algo, (void *)p->workspace, p->workspace_bytes, stream);
}
*/
import "C"

import (
	"fmt"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gespann/gespann/backend/cuda/plan"
)

// libraryNames are tried in turn.
var libraryNames = []string{"libcublasLt.so.13", "libcublasLt.so.12"}

// workspaceBytes is the memory that products of the library share: what cuBLAS
// itself takes on Hopper.
const workspaceBytes = 32 << 20

// A library is cuBLASLt on a card.
type library struct {
	lt        *C.Lt // null where there is none
	why       string
	workspace address
	products  map[productKey]*ltProduct // nil: it cannot
}

// A productKey is what the preparation of a product depends on.
type productKey struct {
	m, n, k       int
	transA        bool
	transB        bool
	a, b, y, bias address
	compute       C.int
}

func keyOf(x *plan.Product, precision plan.Precision, at *places) productKey {
	key := productKey{m: x.M, n: x.N, k: x.K, transA: x.TransA, transB: x.TransB,
		a: at.address(x.A), b: at.address(x.B), y: at.address(x.Y)}
	if x.OnlyBias {
		key.bias = at.address(x.Bias)
	}
	key.compute = map[plan.Precision]C.int{plan.TF32: C.COMPUTE_FAST_TF32, plan.BF16: C.COMPUTE_FAST_16BF}[precision]
	return key
}

// ltError is what the library answers.
type ltError int

func (e ltError) Error() string { return fmt.Sprintf("cuBLASLt: status %d", int(e)) }

// findLibrary opens the first library of those names, without a handle. It says
// which it is, or what is missing.
func findLibrary() (lt *C.Lt, what string) {
	lt = (*C.Lt)(C.calloc(1, C.sizeof_Lt))
	for _, name := range libraryNames {
		c := C.CString(name)
		missing := C.lt_open(lt, c)
		if missing == nil {
			C.free(unsafe.Pointer(c))
			return lt, fmt.Sprintf("%s, version %d", name, int(C.lt_version(lt)))
		}
		what = "no " + C.GoString(missing)
		C.free(unsafe.Pointer(c))
	}
	C.free(unsafe.Pointer(lt))
	return nil, what
}

// libraryFound says which library there is. It stays open.
func libraryFound() string {
	lt, what := findLibrary()
	C.free(unsafe.Pointer(lt))
	return what
}

// openLibrary opens cuBLASLt; why it cannot is kept.
func openLibrary() *library {
	l := &library{products: map[productKey]*ltProduct{}}
	if l.lt, l.why = findLibrary(); l.lt == nil {
		return l
	}
	if r := C.lt_create(l.lt); r != 0 {
		C.free(unsafe.Pointer(l.lt))
		l.lt, l.why = nil, fmt.Sprintf("%s: %v", l.why, ltError(r))
	}
	return l
}

func (l *library) close() {
	if l.lt == nil {
		return
	}
	for _, p := range l.products {
		if p != nil {
			C.product_free(l.lt, p.c)
		}
	}
	C.lt_close(l.lt)
	C.free(unsafe.Pointer(l.lt))
	l.lt, l.products = nil, nil
}

// An ltProduct is a product of cuBLASLt with the algorithm that it advises.
type ltProduct struct {
	lt    *C.Lt
	c     *C.Product
	whole bool
}

// Whole reports whether the library adds a bias, and nothing else follows. Its ReLU
// is not used: it does not say that NaN stays NaN.
func (p *ltProduct) Whole() bool { return p.whole }

func (p *ltProduct) multiply(s cu.Stream) error {
	if r := C.product_run(p.lt, p.c, streamOf(s)); r != 0 {
		return ltError(r)
	}
	return nil
}

// Library prepares a product of cuBLASLt.
func (d *card) Library(x *plan.Product, precision plan.Precision, at *places) (product, error) {
	if d.lt == nil {
		d.lt = openLibrary()
		if d.lt.lt != nil {
			var err error
			if d.lt.workspace, err = d.Alloc(workspaceBytes); err != nil {
				d.lt.close()
				d.lt.why = "no memory for its workspace"
			}
		}
	}
	key := keyOf(x, precision, at)
	if d.lt.lt == nil || key.compute == 0 {
		return nil, nil
	}
	p, ok := d.lt.products[key]
	if !ok {
		p = d.lt.prepare(key, x.OnlyBias || x.Epilogue == nil)
		d.lt.products[key] = p
	}
	if p == nil {
		return nil, nil
	}
	return p, nil
}

// prepare asks the library how it would compute a product; nil when it cannot,
// which is no error: our kernels can.
func (l *library) prepare(key productKey, whole bool) *ltProduct {
	p := &ltProduct{lt: l.lt, c: (*C.Product)(C.calloc(1, C.sizeof_Product)), whole: whole}
	p.c.a, p.c.b, p.c.y = C.CUdeviceptr(key.a), C.CUdeviceptr(key.b), C.CUdeviceptr(key.y)
	p.c.workspace, p.c.workspace_bytes = C.CUdeviceptr(l.workspace), workspaceBytes
	trans := map[bool]C.int{true: 1}
	if r := C.product_make(l.lt, p.c, key.compute, C.uint64_t(key.m), C.uint64_t(key.n), C.uint64_t(key.k),
		trans[key.transA], trans[key.transB], C.CUdeviceptr(key.bias)); r != 0 {
		C.product_free(l.lt, p.c)
		return nil
	}
	return p
}
