// Package plan turns a program into the kernel launches that run it on a CUDA
// device: which kernel of package kernels, how many blocks and threads, and where
// in device memory its arguments are. It is plain Go and needs no device, so that
// a plan can be read, compared with a golden text, and run by an emulator.
//
// A plan names memory by buffer and offset; the session that runs it owns the
// buffers. Launches run one after the other, in order, on one stream. None of
// them depends on host memory that changes from step to step: what does change
// comes from the Control buffer, so a whole step can be captured once and
// replayed.
package plan

import (
	"slices"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
)

// A Precision says how matrix products and convolutions multiply. Everything
// else is float32 in all of them, and so are all values in memory.
type Precision uint8

const (
	// FP32 multiplies and adds in float32.
	FP32 Precision = iota
	// TF32 rounds factors to 11 significant bits and adds in float32, on tensor
	// cores. Relative to Σ|a·b| a result is off by at most 2⁻¹⁰ + k·2⁻²³.
	TF32
	// BF16 rounds factors to 8 significant bits and adds in float32, on tensor
	// cores. Relative to Σ|a·b| a result is off by at most 2⁻⁷ + k·2⁻²³.
	BF16
)

// Options say what to plan for. The zero value is float32 on any device.
type Options struct {
	Precision Precision
	// SM is the compute capability times 10, such as 75 or 90; 0 is 75. TF32 and
	// BF16 need 80.
	SM int
	// Multiprocessors of the device, from which launches take their number of
	// blocks and of parts of long sums; 0 is 132. Results may differ in the last
	// bits between devices with different numbers.
	Multiprocessors int
	// Meets plans a gradient program whose parts meet: at each of Plan.Meetings what
	// follows needs what the session writes there.
	Meets bool
	// Layout of the arena; without Offset it is ir.PlanMemory of the program.
	Layout ir.Plan
}

// A Buffer is a range of device memory that the session owns. All begin at a
// multiple of 256 bytes.
type Buffer uint8

const (
	// Null is the null pointer.
	Null Buffer = iota
	// Arena has inputs, outputs and temporaries. Programs may share one.
	Arena
	// Vars has one range for each variable, by Ref.Index; followed by 16 bytes
	// that may be read.
	Vars
	// Grads has one range for each variable that is not optimiser state.
	Grads
	// Scratch is for what an instruction needs in between. Programs may share one.
	Scratch
	// Counters are zero before and after every launch. Programs may share one.
	Counters
	// Tables holds Plan.Table, written once. Each plan has its own.
	Tables
	// Control is the session's Control block.
	Control
	// Rates is the learning rate of each step of a span, float32.
	Rates
	// Sums is the float64 sums of a step, then those of a span; see EndBatch.
	Sums
	// DataX is rows of features.
	DataX
	// DataY is rows of targets.
	DataY
	// CenterX is what is subtracted from features, float32.
	CenterX
	// ScaleX is what features are then multiplied by, float32.
	ScaleX
	// ShiftX is what is then added to features, float32.
	ShiftX
	// CenterY is CenterX for targets.
	CenterY
	// ScaleY is ScaleX for targets.
	ScaleY
	// ShiftY is ShiftX for targets.
	ShiftY
	// AsideScratch is Scratch for launches beside others.
	AsideScratch
	// AsideCounters is Counters for these.
	AsideCounters
	// Progress is memory of the host with the number of steps taken, int32; it may
	// be nowhere.
	Progress

	numBuffers
)

// A Ref is an address: Offset bytes into a buffer.
type Ref struct {
	Buffer Buffer
	Index  int // variable, for Vars and Grads
	Offset int64
}

// An ArgKind is the type of a kernel's parameter.
type ArgKind uint8

const (
	// Pointer is an address, 8 bytes.
	Pointer ArgKind = iota
	// Int32 is a signed integer of 4 bytes.
	Int32
	// Int64 is a signed integer of 8 bytes.
	Int64
	// Uint32 is an unsigned integer of 4 bytes.
	Uint32
	// Uint64 is an unsigned integer of 8 bytes.
	Uint64
	// Float32 is a floating-point number of 4 bytes.
	Float32
	// Float64 is a floating-point number of 8 bytes.
	Float64
	// Struct is a struct of int32, passed by value.
	Struct
)

// An Arg is one argument of a kernel. Exactly the field that Kind names is used:
// Ref for Pointer, Int for integers, Float for floats, Ints for Struct.
type Arg struct {
	Kind  ArgKind
	Ref   Ref
	Int   int64 // the bits, for Uint64
	Float float64
	Ints  []int32
}

// A Launch is one kernel with its arguments.
type Launch struct {
	Kernel string    // as in package kernels
	Grid   [3]uint32 // blocks; each ≥ 1
	Block  [3]uint32 // threads per block
	Shared uint32    // bytes of dynamic shared memory
	Args   []Arg
	Instr  int   // the instruction that it belongs to, -1 for the session's own
	Also   []int // other instructions that it computes too
	// Aside: no launch of the program that is not aside needs what this computes. It
	// may run beside the others, once what it reads is there; launches that are
	// aside run in order among themselves.
	Aside bool
	// Product, if not nil, is what the launch computes, for sessions that know a
	// faster way.
	Product *Product
	cut     *tiling // of a tiled product; else nil
}

// A Product is a matrix product in float32 memory,
//
//	y[m,n] = epilogue(op(a)·op(b))
//
// with a stored [k,m] when TransA, b stored [n,k] when TransB, all row-major and
// dense. A session that computes y = op(a)·op(b) by other means runs Epilogue
// after it; nil means that there is none. OnlyBias says that all that Epilogue
// does is to add Bias [n] to each row.
type Product struct {
	M, N, K        int
	TransA, TransB bool
	Y, A, B, Bias  Ref
	OnlyBias       bool
	Epilogue       *Launch
}

// Replace returns the launch of a product with one of its matrices elsewhere.
func (l Launch) Replace(from, to Ref) Launch {
	replace := func(args []Arg) []Arg {
		args = slices.Clone(args)
		for i := range args {
			if args[i].Kind == Pointer && args[i].Ref == from {
				args[i].Ref = to
			}
		}
		return args
	}
	l.Args = replace(l.Args)
	if l.Product == nil {
		return l
	}
	p := *l.Product
	for _, r := range []*Ref{&p.Y, &p.A, &p.B} {
		if *r == from {
			*r = to
		}
	}
	if p.Epilogue != nil {
		e := *p.Epilogue
		e.Args = replace(e.Args)
		p.Epilogue = &e
	}
	l.Product = &p
	return l
}

// A Plan is a program ready to launch.
type Plan struct {
	Program  *ir.Program
	Options  Options
	Launches []Launch
	// Values is where each value is, by slot.
	Values []Ref
	// Sizes of the buffers that the plan needs, in bytes.
	// AsideScratch has AsideBytes, AsideCounters as much as Counters.
	ArenaBytes, ScratchBytes, AsideBytes, CountersBytes int64
	// Table is the content of the Tables buffer: pointers and Int64, 8 bytes each.
	Table []Arg
	// Meetings are where the parts of a gradient run meet, in order: see Options.Meets.
	Meetings []Meeting
	// Sums describes what EndBatch adds up; it is empty without a loss.
	Sums []Sum
	sums int // index in Table of the sums' pointers
}

// A Meeting is an instruction of which the first launch writes the sums of a part, and the
// next reads what becomes of those of all parts: see package meet.
type Meeting struct {
	meet.Point
	Sums Ref // float64 [2,C]: a and b
	// For a normalisation, A and B are where its mean and variance are, float32 [C]. For
	// its gradient they are where it reads Σ dy·r and Σ dy·xhat·r, r being the part's share
	// of the values; nowhere when it has no more to do.
	A, B Ref
	Rows int // values of a channel in the part
	// Variance and Eps are those that xhat is made with, for a gradient.
	Variance Ref
	Eps      float64
}

// A Sum is an output that a session adds up over batches.
type Sum struct {
	Name string // ir.OutLoss, or a metric's without ir.MetricPrefix
	Size int    // elements
	// Offset of the first element in the sums of a step, in elements.
	Offset int
}

// TableBytes returns the size of the Tables buffer.
func (p *Plan) TableBytes() int64 { return int64(len(p.Table)) * 8 }

// Instr returns the launches of instruction i.
func (p *Plan) Instr(i int) []Launch {
	first := 0
	for first < len(p.Launches) && p.Launches[first].Instr < i {
		first++
	}
	last := first
	for last < len(p.Launches) && p.Launches[last].Instr == i {
		last++
	}
	return p.Launches[first:last]
}

// Value returns where the input, output, variable or gradient of that name is.
func (p *Plan) Value(name string) (Ref, *ir.Value, bool) {
	for i := range p.Program.Values {
		if v := &p.Program.Values[i]; v.Name == name && v.Name != "" {
			return p.Values[i], v, true
		}
	}
	return Ref{}, nil, false
}
