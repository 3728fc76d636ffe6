package emulator

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// guard is the number of elements around each value that no kernel may write, and
// guardBits what is there: an integer that is no index, and a signalling NaN, which
// any arithmetic turns into another.
const (
	guard     = 64
	guardBits = 0x7fa0dead
)

// An Executor runs programs on a device, by the plans for Options. Host memory is
// copied to the device before each run and back after it, so that nothing of a
// program stays there in between.
type Executor struct {
	Device  *Device
	Options plan.Options
	// Fail is called with what went wrong in a run, or in its memory.
	Fail func(error)
}

// Close ends the device.
func (e *Executor) Close() { e.Device.Close() }

// Compile plans p.
func (e *Executor) Compile(p *ir.Program, s host.Slots) (host.Runner, error) {
	r := &runner{e: e, slots: s}
	o := e.Options
	o.Layout = r.layout(p)
	var err error
	r.plan, err = plan.Build(p, o)
	r.image = make([]byte, r.total(r.plan))
	return r, err
}

// A runner is a program with an image of the device's memory: each value between
// guard bands, then the buffers that the plan needs, likewise.
type runner struct {
	e     *Executor
	plan  *plan.Plan
	slots host.Slots
	at    []int64 // by slot, offset in the image; views have that of their base
	next  int64   // offset behind the last value or buffer
	other map[plan.Buffer]int64
	image []byte
}

// place returns the offset of so many bytes behind all that is placed already.
func (r *runner) place(bytes int64) int64 {
	at := r.next + guard*4
	r.next = (at + bytes + guard*4 + 255) / 256 * 256
	return at
}

// layout places each value of p.
func (r *runner) layout(p *ir.Program) ir.Plan {
	r.at = make([]int64, len(p.Values))
	layout := ir.Plan{Offset: make([]int, len(p.Values))}
	for i := range p.Values {
		if p.Values[i].Kind != ir.View {
			r.at[i] = r.place(int64(p.Values[i].Size()) * 4)
		}
	}
	for i := range p.Values {
		if v := &p.Values[i]; v.Kind == ir.View {
			r.at[i] = r.at[v.Of]
		}
		layout.Offset[i] = int(r.at[i] / 4)
	}
	layout.Size = int(r.next / 4)
	return layout
}

// total places the other buffers, and returns the size of the image.
func (r *runner) total(p *plan.Plan) int64 {
	if p == nil {
		return 0
	}
	r.other = map[plan.Buffer]int64{}
	for _, b := range []struct {
		buffer plan.Buffer
		bytes  int64
	}{
		{plan.Scratch, p.ScratchBytes}, {plan.Counters, p.CountersBytes}, {plan.Tables, p.TableBytes()},
		{plan.Control, plan.ControlBytes}, {plan.AsideScratch, p.AsideBytes}, {plan.AsideCounters, p.CountersBytes},
	} {
		r.other[b.buffer] = r.place(b.bytes)
	}
	return r.next
}

// address returns where a reference is in the image.
func (r *runner) address(ref plan.Ref) int64 {
	switch ref.Buffer {
	case plan.Arena:
		return ref.Offset
	case plan.Vars, plan.Grads:
		kind := ir.Variable
		if ref.Buffer == plan.Grads {
			kind = ir.Grad
		}
		for i := range r.plan.Program.Values {
			if v := &r.plan.Program.Values[i]; v.Kind == kind && v.Var == ref.Index {
				return r.at[i] + ref.Offset
			}
		}
	}
	return r.other[ref.Buffer] + ref.Offset
}

// Run runs all launches and takes over outputs, variables and gradients.
func (r *runner) Run() {
	r.run(r.plan.Launches, func(i int) bool {
		kind := r.plan.Program.Values[i].Kind
		return kind == ir.Output || kind == ir.Variable || kind == ir.Grad
	})
}

// Exec runs the launches of one instruction and takes over its outputs.
func (r *runner) Exec(i int) {
	r.run(r.plan.Instr(i), func(v int) bool {
		for _, out := range r.plan.Program.Instrs[i].Out {
			if out >= 0 && r.at[out] == r.at[v] {
				return true
			}
		}
		return false
	})
}

func (r *runner) run(launches []plan.Launch, changes func(value int) bool) {
	if err := r.try(launches, changes); err != nil {
		r.e.Fail(fmt.Errorf("%s: %w", r.plan.Program.Name, err))
	}
}

func (r *runner) try(launches []plan.Launch, changes func(value int) bool) error {
	d := r.e.Device
	if err := d.Alloc(int64(len(r.image))); err != nil {
		return err
	}
	before := r.fill()
	d.Write(0, r.image)
	for _, l := range launches {
		if err := d.Launch(l, r.address); err != nil {
			return err
		}
	}
	if err := d.Read(0, r.image); err != nil {
		return err
	}
	return r.take(before, changes)
}

// fill writes the image, and returns a copy.
func (r *runner) fill() []byte {
	for i := 0; i < len(r.image); i += 4 {
		binary.LittleEndian.PutUint32(r.image[i:], guardBits)
	}
	for i := range r.at {
		if r.plan.Program.Values[i].Kind != ir.View {
			copy(r.image[r.at[i]:], r.memory(i))
		}
	}
	clear(r.image[r.other[plan.Counters]:][:r.plan.CountersBytes])
	clear(r.image[r.other[plan.AsideCounters]:][:r.plan.CountersBytes])
	clear(r.image[r.other[plan.Control]:][:plan.ControlBytes])
	at := r.other[plan.Tables]
	for _, word := range r.plan.Table {
		at += int64(copy(r.image[at:], r.e.Device.Encode(word, r.address)))
	}
	return bytes.Clone(r.image)
}

// take copies what may change to host memory, and reports other changes of the
// image.
func (r *runner) take(before []byte, changes func(value int) bool) error {
	for i := range r.at {
		if r.plan.Program.Values[i].Kind == ir.View {
			continue
		}
		m := r.memory(i)
		at := int(r.at[i])
		if changes(i) {
			copy(m, r.image[at:])
		} else if kind := r.plan.Program.Values[i].Kind; kind == ir.Temp || kind == ir.Output {
			// Written by instructions that are not asked for.
		} else {
			continue
		}
		copy(before[at:at+len(m)], r.image[at:])
	}
	for buffer, bytes := range map[plan.Buffer]int64{plan.Scratch: r.plan.ScratchBytes, plan.AsideScratch: r.plan.AsideBytes} {
		at := int(r.other[buffer])
		copy(before[at:at+int(bytes)], r.image[at:])
	}
	if bytes.Equal(before, r.image) {
		return nil
	}
	for i := range before {
		if before[i] != r.image[i] {
			return fmt.Errorf("a kernel wrote byte %d of the memory, outside of its outputs (values begin at %v, %v)",
				i, r.at, r.other)
		}
	}
	return nil
}

// memory returns the host memory of a value.
func (r *runner) memory(i int) []byte {
	if f := r.slots.F[i]; f != nil {
		return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(f))), len(f)*4)
	}
	v := r.slots.I[i]
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*4)
}
