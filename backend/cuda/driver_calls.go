//go:build gpu

package cuda

// The driver calls that gorgonia.org/cu does not have. Its handles are structs
// of one C pointer, so they are read through unsafe.

/*
#include <cuda.h>

// launch calls a kernel whose arguments lie at offsets of args. cu's Launch takes
// 8 bytes per argument only, and allocates.
static CUresult launch(CUfunction fn, unsigned *size, unsigned shared, CUstream stream,
                       char *args, unsigned *offsets, int n) {
	void *params[64];
	if (n > 64) return CUDA_ERROR_INVALID_VALUE;
	for (int i = 0; i < n; i++) params[i] = args + offsets[i];
	return cuLaunchKernel(fn, size[0], size[1], size[2], size[3], size[4], size[5], shared, stream, params, 0);
}

static CUresult end_capture(CUstream stream, CUgraphExec *exec) {
	CUgraph graph = 0;
	CUresult r = cuStreamEndCapture(stream, &graph);
	if (r == CUDA_SUCCESS) r = cuGraphInstantiate(exec, graph, 0);
	if (graph) cuGraphDestroy(graph);
	return r;
}
*/
import "C"

import (
	"unsafe"

	"gorgonia.org/cu"
)

// called turns a result into an error.
func called(r C.CUresult) error {
	if r == C.CUDA_SUCCESS {
		return nil
	}
	var name *C.char
	if C.cuGetErrorName(r, &name) != C.CUDA_SUCCESS {
		return driverError{"CUDA_ERROR_UNKNOWN"}
	}
	return driverError{C.GoString(name)}
}

func streamOf(s cu.Stream) C.CUstream { return *(*C.CUstream)(unsafe.Pointer(&s)) }

func functionOf(f cu.Function) C.CUfunction { return *(*C.CUfunction)(unsafe.Pointer(&f)) }

// launchKernel puts a launch into a stream, or into what is being captured.
func launchKernel(f cu.Function, c *command, s cu.Stream) error {
	size := [6]C.uint{
		C.uint(c.Grid[0]), C.uint(c.Grid[1]), C.uint(c.Grid[2]),
		C.uint(c.Block[0]), C.uint(c.Block[1]), C.uint(c.Block[2]),
	}
	return called(C.launch(functionOf(f), &size[0], C.uint(c.Shared), streamOf(s),
		(*C.char)(unsafe.Pointer(unsafe.SliceData(c.args.bytes))),
		(*C.uint)(unsafe.Pointer(unsafe.SliceData(c.args.offsets))), C.int(len(c.args.offsets))))
}

// allowShared lets a kernel have so much dynamic shared memory, which beyond 48
// KiB the driver wants to be told.
func allowShared(f cu.Function, sharedBytes uint32) error {
	return called(C.cuFuncSetAttribute(functionOf(f), C.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, C.int(sharedBytes)))
}

// beginCapture notes from now on what this thread puts into a stream.
func beginCapture(s cu.Stream) error {
	return called(C.cuStreamBeginCapture(streamOf(s), C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))
}

// A replayer is a captured graph, ready to run.
type replayer struct {
	exec   C.CUgraphExec
	stream cu.Stream
}

// endCapture makes a graph of what was noted.
func endCapture(s cu.Stream) (*replayer, error) {
	r := &replayer{stream: s}
	return r, called(C.end_capture(streamOf(s), &r.exec))
}

// launch puts the whole graph into the stream.
func (r *replayer) launch() error { return called(C.cuGraphLaunch(r.exec, streamOf(r.stream))) }

// Destroy frees the graph.
func (r *replayer) Destroy() error { return called(C.cuGraphExecDestroy(r.exec)) }

// hostMemory allocates memory that the device copies from and to directly.
func hostMemory(bytes int) ([]byte, error) {
	var p unsafe.Pointer
	if err := called(C.cuMemHostAlloc(&p, C.size_t(bytes), 0)); err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), bytes), nil
}
