package cuda

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/backend/rules"
	"github.com/gespann/gespann/internal/data"
)

// A fake is a device in host memory. It does not know kernels: an instruction's
// launches do what package ref does for it, and the session's own launches what
// package plan says of them. Everything asked of it is done at once.
type fake struct {
	t         testing.TB
	free      int64
	blocks    []block // in order of their addresses
	next      address
	capturing *fakeGraph
	lane      int
	counts    map[string]int // of calls
	fail      func(c *command) error
	mortal    bool  // dies of a launch that fails
	dead      error // what killed it: all that it answers from then on
	closed    int
	idle      bool // replay nothing
	inside    bool // of Do
	library   func(x *plan.Product, p plan.Precision, at *places) (product, error)
	cost      func(c *command) time.Duration
	clock     time.Duration // the cost of what was launched
}

type block struct {
	at    address
	bytes []byte
}

func newFake(t testing.TB, free int64) *fake {
	return &fake{t: t, free: free, next: 1 << 20, counts: map[string]int{}}
}

func (f *fake) Do(do func() error) error {
	f.inside = true
	defer func() { f.inside = false }()
	return do()
}

func (f *fake) Free() (int64, error) { return f.free, nil }

func (f *fake) Alloc(bytes int64) (address, error) {
	f.counts["alloc"]++
	if bytes > f.free {
		return 0, driverError{"CUDA_ERROR_OUT_OF_MEMORY"}
	}
	f.free -= bytes
	at := f.next
	f.next += address(align(bytes)) + 4096
	floats := host.Alloc(int(bytes+3) / 4)
	for i := range floats {
		floats[i] = float32(math.NaN()) // what was there before
	}
	f.blocks = append(f.blocks, block{at, bytesOf(floats)[:bytes]})
	return at, nil
}

func (f *fake) Release(a address) error {
	f.counts["release"]++
	i := slices.IndexFunc(f.blocks, func(b block) bool { return b.at == a })
	if i < 0 {
		return errors.New("no such block")
	}
	f.free += int64(len(f.blocks[i].bytes))
	f.blocks = slices.Delete(f.blocks, i, i+1)
	return nil
}

func (f *fake) Pinned(bytes int) ([]byte, error) {
	f.counts["alloc"]++
	return bytesOf(make([]float64, (bytes+7)/8))[:bytes], nil
}

// Visible makes pinned memory a block.
func (f *fake) Visible(pinned []byte) address {
	f.blocks = append(f.blocks, block{f.next, pinned})
	f.next += 4096
	return f.blocks[len(f.blocks)-1].at
}

// memory returns n bytes of device memory, and fails the test where there are
// none.
func (f *fake) memory(at address, n int64) []byte {
	f.t.Helper()
	i, ok := slices.BinarySearchFunc(f.blocks, at, func(b block, at address) int { return int(int64(b.at) - int64(at)) })
	if !ok {
		i--
	}
	if i < 0 || int64(at-f.blocks[i].at)+n > int64(len(f.blocks[i].bytes)) {
		f.t.Fatalf("device memory %#x: no block has %d bytes there", uint64(at), n)
	}
	return f.blocks[i].bytes[at-f.blocks[i].at:][:n]
}

func (f *fake) Prepare(string, uint32) error { f.counts["prepare"]++; return nil }

func (f *fake) Close() error {
	if f.inside {
		f.t.Error("Close is called within Do")
	}
	f.closed++
	f.blocks = nil
	return nil
}

func (f *fake) Upload(dst address, src []byte) error {
	f.counts["upload"]++
	if f.dead != nil {
		return f.dead
	}
	copy(f.memory(dst, int64(len(src))), src)
	return nil
}

func (f *fake) Download(dst []byte, src address) error {
	f.counts["download"]++
	if f.dead != nil {
		return f.dead
	}
	copy(dst, f.memory(src, int64(len(dst))))
	return nil
}

func (f *fake) Clear(dst address, bytes int64) error {
	clear(f.memory(dst, bytes))
	return nil
}

func (f *fake) Mark(int) error  { return nil }
func (f *fake) Await(int) error { return nil }
func (f *fake) Sync() error     { f.counts["sync"]++; return f.dead }

// Library returns what the test has put there.
func (f *fake) Library(x *plan.Product, p plan.Precision, at *places) (product, error) {
	if f.library == nil {
		return nil, nil
	}
	return f.library(x, p, at)
}

// Time is what cost says of the launches.
func (f *fake) Time(do func() error) (time.Duration, error) {
	before := f.clock
	err := do()
	return f.clock - before, err
}

// A fakeGraph is launches by lane. Each knows how many of the other lane must be
// done before it.
type fakeGraph struct {
	lanes   [numLanes][]fakeLaunch
	waits   [numLanes]int // of the next launch
	joined  bool          // lane 0 with all of lane 1
	replays int
}

type fakeLaunch struct {
	*command
	after int
}

func (*fakeGraph) Destroy() error { return nil }

// order calls do for all launches: in odd replays those of lane 1 as early as they
// may, else as late as that.
func (g *fakeGraph) order(do func(c *command) error) error {
	g.replays++
	prefer := g.replays % numLanes
	var done [numLanes]int
	for done[0] < len(g.lanes[0]) || done[1] < len(g.lanes[1]) {
		lane := prefer
		ready := func(l int) bool {
			return done[l] < len(g.lanes[l]) && g.lanes[l][done[l]].after <= done[1-l]
		}
		if !ready(lane) {
			lane = 1 - lane
		}
		if !ready(lane) {
			return errors.New("the lanes of a graph wait for each other")
		}
		if err := do(g.lanes[lane][done[lane]].command); err != nil {
			return err
		}
		done[lane]++
	}
	return nil
}

func (f *fake) Lane(i int) { f.lane = i }

func (f *fake) Join(from, to int) error {
	g := f.capturing
	if g == nil {
		return errors.New("lanes are joined outside of a capture")
	}
	g.waits[to] = len(g.lanes[from])
	g.joined = g.joined || to == 0
	return nil
}

func (f *fake) Capture(launches func() error) (graph, error) {
	f.counts["capture"]++
	g := &fakeGraph{joined: true}
	f.capturing = g
	err := launches()
	f.capturing = nil
	if err == nil && (!g.joined || f.lane != 0) {
		err = errors.New("a capture ends with a lane that is not joined")
	}
	return g, err
}

func (f *fake) Replay(g graph) error {
	f.counts["replay"]++
	if f.dead != nil {
		return f.dead
	}
	if f.idle {
		return nil
	}
	return g.(*fakeGraph).order(f.do)
}

func (f *fake) Launch(c *command) error {
	f.counts["launch"]++
	if g := f.capturing; g != nil {
		if f.lane == 1 && len(g.lanes[1]) == 0 && g.waits[1] == 0 && len(g.lanes[0]) > 0 {
			return errors.New("a lane begins without a join")
		}
		g.lanes[f.lane] = append(g.lanes[f.lane], fakeLaunch{c, g.waits[f.lane]})
		g.joined = g.joined && f.lane == 0
		return nil
	}
	if f.lane != 0 {
		return errors.New("a launch beside others is not captured")
	}
	return f.do(c)
}

func (f *fake) do(c *command) error {
	if f.fail != nil {
		if err := f.fail(c); err != nil {
			if f.mortal {
				f.dead = err
			}
			return err
		}
	}
	if f.cost != nil {
		f.clock += f.cost(c)
	}
	if want := c.at.pack(c.Args); !slices.Equal(want.bytes, c.args.bytes) || len(want.offsets) != len(c.Args) {
		return fmt.Errorf("kernel %s: the arguments are stale", c.Kernel)
	}
	control := f.memory(c.at.base[plan.Control], plan.ControlBytes)
	switch {
	case c.batch != nil:
		f.gather(c, control)
	case c.end != nil:
		f.endBatch(c, control)
	case c.meeting() != nil:
		f.meet(c, c.meeting())
	case c.first() && c.plan.Program.Instrs[c.Instr].Op == ir.BatchNormGrad:
		f.batchNormGrad(c)
	case c.first() && !(f.halted(control) && c.plan.Program.Instrs[c.Instr].Op.Updates()):
		instrs := append([]int{c.Instr}, c.Also...)
		slices.Sort(instrs)
		for _, i := range instrs {
			ref.Exec(c.plan.Program, i, f.slots(c, i))
		}
	}
	return nil
}

// first reports whether c is the first launch of its instruction.
func (c *command) first() bool {
	l := c.plan.Instr(c.Instr)[0]
	return l.Kernel == c.Kernel && slices.Equal(c.at.pack(l.Args).bytes, c.args.bytes)
}

func (f *fake) halted(control []byte) bool { return plan.ParseControl(control).Halt != 0 }

// slots is the memory of an instruction's values.
func (f *fake) slots(c *command, instr int) ref.Slots[float32] {
	p := c.plan.Program
	s := ref.Slots[float32]{F: make([][]float32, len(p.Values)), I: make([][]int32, len(p.Values))}
	for _, list := range [][]ir.Slot{p.Instrs[instr].In, p.Instrs[instr].Out} {
		for _, slot := range list {
			if slot != ir.None {
				s.F[slot], s.I[slot] = f.value(c, slot)
			}
		}
	}
	return s
}

func (f *fake) value(c *command, slot ir.Slot) ([]float32, []int32) {
	v := &c.plan.Program.Values[slot]
	m := floats32(f.memory(c.at.address(c.plan.Values[slot]), int64(v.Size())*4))
	if v.Type == ir.Int {
		return nil, ints32(m)
	}
	return m, nil
}

func ints32(f []float32) []int32 { return unsafe.Slice((*int32)(unsafe.Pointer(&f[0])), len(f)) }

// gather does what Plan.Gather describes.
func (f *fake) gather(c *command, control []byte) {
	block := plan.ParseControl(control)
	for _, in := range []struct {
		name string
		col  plan.Column
		data plan.Buffer
		norm [3]plan.Buffer
	}{
		{ir.InX, c.batch.X, plan.DataX, [3]plan.Buffer{plan.CenterX, plan.ScaleX, plan.ShiftX}},
		{ir.InY, c.batch.Y, plan.DataY, [3]plan.Buffer{plan.CenterY, plan.ScaleY, plan.ShiftY}},
	} {
		ref, v, ok := c.plan.Value(in.name)
		if !ok || v.Kind != ir.Input || in.col.Type == plan.None {
			continue
		}
		t := f.table(c, in.col, in.data, in.norm)
		rows := f.positions(control, block.First, c.plan.Program.Batch)
		to := floats32(f.memory(c.at.address(ref), int64(v.Size())*4))
		if v.Type == ir.Int {
			t.GatherInt(ints32(to), rows)
		} else {
			t.Gather(to, rows)
		}
	}
	f.set(c, c.plan, ir.InSeed, math.Float32bits(c.batch.Weight))
	f.set(c, c.plan, ir.InTick, uint32(int32(block.Done*int64(c.batch.Accumulate)+int64(c.batch.Micro))+block.Tick))
}

// positions returns rows of the order in the Control block, by the formula at
// data.Perm.
func (f *fake) positions(control []byte, first uint32, n int) []uint32 {
	u32 := func(i int) uint32 { return binary.LittleEndian.Uint32(control[4*i:]) }
	rowsN, loBits, loMask, hiMask, ordered := u32(0), u32(1), u32(2), u32(3), u32(18)
	rows := make([]uint32, n)
	for i := range rows {
		x := first + uint32(i)
		for ordered == 0 {
			hi, lo := x>>loBits, x&loMask
			for r := 0; r < 12; r += 2 {
				lo ^= mix(hi^u32(4+r)) & loMask
				hi ^= mix(lo^u32(5+r)) & hiMask
			}
			if x = hi<<loBits | lo; x < rowsN {
				break
			}
		}
		rows[i] = x
	}
	return rows
}

func mix(v uint32) uint32 {
	v = (v ^ v>>16) * 0x85EBCA6B
	v = (v ^ v>>13) * 0xC2B2AE35
	return v ^ v>>16
}

// table is the whole block of device memory that a column is in.
func (f *fake) table(c *command, col plan.Column, at plan.Buffer, norm [3]plan.Buffer) *data.Table {
	t := &data.Table{Shape: []int{col.Size}}
	block := func(b plan.Buffer) []byte {
		i := slices.IndexFunc(f.blocks, func(x block) bool { return x.at == c.at.base[b] })
		if i < 0 {
			f.t.Fatalf("buffer %d is at %#x, where no block begins", b, uint64(c.at.base[b]))
		}
		return f.blocks[i].bytes
	}
	rows := block(at)
	switch col.Type {
	case plan.U8:
		t.U8 = rows
	case plan.F32:
		t.F32 = floats32(rows)
	case plan.I32:
		t.I32 = ints32(floats32(rows))
	}
	if col.Scales > 0 {
		t.Scale, t.Shift = floats32(block(norm[1]))[:col.Scales], floats32(block(norm[2]))[:col.Scales]
	}
	if col.Centered {
		t.Center = floats32(block(norm[0]))[:col.Scales]
	}
	return t
}

// set writes an input of one element, if the program has it.
func (f *fake) set(c *command, p *plan.Plan, name string, bits uint32) {
	if ref, v, ok := p.Value(name); ok && v.Kind == ir.Input {
		binary.LittleEndian.PutUint32(f.memory(c.at.address(ref), 4), bits)
	}
}

// endBatch does what Plan.EndBatch describes.
func (f *fake) endBatch(c *command, control []byte) {
	if f.halted(control) {
		return
	}
	block, le := plan.ParseControl(control), binary.LittleEndian
	n := c.plan.SumsSize()
	sums := floats(f.memory(c.at.base[plan.Sums], int64(16*n)))
	for _, sum := range c.plan.Sums {
		name, weight := ir.MetricPrefix+sum.Name, 1.0
		if sum.Name == ir.OutLoss {
			name, weight = ir.OutLoss, float64(c.end.Rows)
		}
		ref, v, _ := c.plan.Value(name)
		values := floats32(f.memory(c.at.address(ref), int64(v.Size())*4))
		if sum.Name == ir.OutLoss && !rules.Finite(values[0]) {
			le.PutUint32(control[84:], 1)
			le.PutUint32(control[88:], math.Float32bits(values[0]))
			return
		}
		for i, x := range values {
			sums[sum.Offset+i] += float64(x) * weight
		}
	}
	le.PutUint32(control[firstOffset:], block.First+uint32(c.end.Rows))
	if !c.end.Last {
		return
	}
	for i := range n {
		sums[n+i] += sums[i]
		sums[i] = 0
	}
	if c.end.Update != nil {
		rates := floats32(f.memory(c.at.base[plan.Rates], 4*int64(block.Index+1)))
		f.set(c, c.end.Update, ir.InRate, math.Float32bits(rates[block.Index]))
		f.set(c, c.end.Update, ir.InStep, uint32(int32(block.Done+1)))
	}
	le.PutUint64(control[64:], uint64(block.Done+1))
	le.PutUint32(control[80:], uint32(block.Index+1))
	le.PutUint32(f.memory(c.at.base[plan.Progress], 4), uint32(block.Index+1))
}
