package cuda

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/gespann/gespann/backend/cuda/plan"
)

// An address is a place in device memory.
type address uint64

// alignBytes is the alignment of buffers and variables.
const alignBytes = 256

// align rounds a size up.
func align(bytes int64) int64 { return (bytes + alignBytes - 1) / alignBytes * alignBytes }

// A device is a card with a context and one stream, on which everything that it
// is given is done in order. Its methods are not called concurrently.
type device interface {
	memory
	queue
	// Do calls f where all other methods but Close must be called: a context is
	// bound to a thread.
	Do(f func() error) error
	// Free is the memory that is left, in bytes.
	Free() (int64, error)
	// Prepare loads a kernel, so that launching it later loads nothing.
	Prepare(kernel string, sharedBytes uint32) error
	// Library prepares a matrix product by a library for such, in a precision, of
	// matrices at places. It returns nil where there is no library, or where it
	// cannot do this one.
	Library(x *plan.Product, precision plan.Precision, at *places) (product, error)
	// Close gives all memory back.
	Close() error
}

// A memory hands out device memory, and host memory that the device reaches.
type memory interface {
	Alloc(bytes int64) (address, error)
	Release(a address) error
	Pinned(bytes int) ([]byte, error)
	// Visible returns where kernels find pinned memory, 0 if they cannot.
	Visible(pinned []byte) address
}

// A queue is what one can ask of a stream.
type queue interface {
	// Upload and Download copy. Of pinned memory they return at once, and the
	// memory must not change until the queue has come so far.
	Upload(dst address, src []byte) error
	Download(dst []byte, src address) error
	Clear(dst address, bytes int64) error
	Launch(c *command) error
	// Lane says where launches go from now on: to the stream that all else is asked
	// of, 0, or while capturing to one beside it. Join lets what comes in one lane
	// wait for all that is in another.
	Lane(i int)
	Join(from, to int) error
	// Capture notes the launches that f makes instead of making them. In the end
	// lane 0 must have joined the other, if that was used.
	Capture(f func() error) (graph, error)
	Replay(g graph) error
	// Mark sets a mark 0 ≤ i < numMarks behind all that was asked so far, and
	// Await waits until the queue has come to it. A mark that was never set is no
	// wait.
	Mark(i int) error
	Await(i int) error
	// Sync waits for everything.
	Sync() error
	// Time returns how long the queue works on what f asks, and waits for it. It
	// is not called while capturing.
	Time(f func() error) (time.Duration, error)
}

// Marks: two for the pace, then one for each stage.
const (
	stageMark = 2
	numMarks  = stageMark + numStages
)

// A graph is launches captured once.
type graph interface{ Destroy() error }

// A command is a launch whose arguments have become addresses.
type command struct {
	plan.Launch
	plan *plan.Plan // of the instruction; for the session's own, that of the batch
	// batch and end say what the session's own launches are for.
	batch *plan.Batch
	end   *plan.End
	args  packed
	at    *places
	by    product // the library's, in place of the kernel; or nil
}

// Packed is the arguments of a kernel: bytes, each argument at a multiple of 8.
type packed struct {
	bytes   []byte
	offsets []uint32
}

// places says where the buffers of a plan are.
type places struct {
	base        [plan.Progress + 1]address // by plan.Buffer
	vars, grads []address                  // by variable
}

// address returns where a reference points.
func (p *places) address(r plan.Ref) address {
	switch r.Buffer {
	case plan.Null:
		return 0
	case plan.Vars:
		return p.vars[r.Index] + address(r.Offset)
	case plan.Grads:
		return p.grads[r.Index] + address(r.Offset)
	default:
		return p.base[r.Buffer] + address(r.Offset)
	}
}

// pack turns arguments into bytes.
func (p *places) pack(args []plan.Arg) packed {
	var out packed
	for _, a := range args {
		for len(out.bytes)%8 != 0 {
			out.bytes = append(out.bytes, 0)
		}
		out.offsets = append(out.offsets, uint32(len(out.bytes)))
		out.bytes = p.appendArg(out.bytes, a)
	}
	return out
}

func (p *places) appendArg(b []byte, a plan.Arg) []byte {
	le := binary.LittleEndian
	switch a.Kind {
	case plan.Pointer:
		return le.AppendUint64(b, uint64(p.address(a.Ref)))
	case plan.Int32, plan.Uint32:
		return le.AppendUint32(b, uint32(a.Int))
	case plan.Int64, plan.Uint64:
		return le.AppendUint64(b, uint64(a.Int))
	case plan.Float32:
		return le.AppendUint32(b, math.Float32bits(float32(a.Float)))
	case plan.Float64:
		return le.AppendUint64(b, math.Float64bits(a.Float))
	case plan.Struct:
		for _, v := range a.Ints {
			b = le.AppendUint32(b, uint32(v))
		}
		return b
	}
	panic(fmt.Sprintf("cuda: invariant: argument of kind %d", a.Kind))
}

// table returns the content of a plan's Tables buffer.
func (p *places) table(args []plan.Arg) []byte {
	b := make([]byte, 0, 8*len(args))
	for _, a := range args {
		b = p.appendArg(b, a)
	}
	return b
}
