package plan

import (
	"math"

	"github.com/gespann/gespann/backend/ir"
)

// gatherChunk is the number of elements of one row that a block of gather
// copies, as in batch.cu.
const gatherChunk = 1024

// input returns where an input is, null if the program has none.
func (p *Plan) input(name string) (Arg, ir.Type) {
	if r, v, ok := p.Value(name); ok && v.Kind == ir.Input {
		return ptr(r), v.Type
	}
	return null(), ir.Float
}

func (p *Plan) gather(b Batch) Launch {
	var args []Arg
	var blocks [2]int
	for i, in := range []struct {
		name string
		col  Column
		from [4]Buffer
	}{
		{ir.InX, b.X, [4]Buffer{DataX, ScaleX, ShiftX, CenterX}},
		{ir.InY, b.Y, [4]Buffer{DataY, ScaleY, ShiftY, CenterY}},
	} {
		to, typ := p.input(in.name)
		if to.Ref.Buffer == Null || in.col.Type == None {
			in.col, to = Column{}, null()
		}
		blocks[i] = ceil(in.col.Size, gatherChunk)
		args = append(args, to)
		for k, buffer := range in.from {
			arg := null()
			if in.col.Type != None && (k == 0 || in.col.Scales > 0) && (k < 3 || in.col.Centered) {
				arg = ptr(Ref{Buffer: buffer})
			}
			args = append(args, arg)
		}
		args = append(args, ints(int32(in.col.Type), int32(typ), int32(in.col.Size), int32(in.col.Scales)))
	}
	seed, _ := p.input(ir.InSeed)
	tick, _ := p.input(ir.InTick)
	args = append(append([]Arg{ptr(Ref{Buffer: Control})}, args...), seed, tick,
		f32(float64(b.Weight)), i32(b.Micro), i32(b.Accumulate), i32(blocks[0]))
	return Launch{Kernel: "gather", Block: [3]uint32{threads, 1, 1}, Args: args, Instr: -1,
		Grid: [3]uint32{uint32(p.Program.Batch), uint32(max(1, min(blocks[0]+blocks[1], math.MaxUint16))), 1}}
}

func (p *Plan) endBatch(e End) Launch {
	rate, step := null(), null()
	if e.Update != nil {
		rate, _ = e.Update.input(ir.InRate)
		step, _ = e.Update.input(ir.InStep)
	}
	return Launch{Kernel: "end_batch", Grid: grid(1), Block: [3]uint32{threads, 1, 1}, Instr: -1, Args: []Arg{
		ptr(Ref{Buffer: Control}), ptr(Ref{Buffer: Tables, Offset: int64(p.sums) * 8}), i32(len(p.Sums)),
		ptr(Ref{Buffer: Sums}), i32(p.SumsSize()), i32(e.Rows), i32(flag(e.Last)),
		ptr(Ref{Buffer: Rates}), rate, step, ptr(Ref{Buffer: Progress}),
	}}
}
