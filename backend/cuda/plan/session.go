package plan

import (
	"encoding/binary"
	"math"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
)

// A ControlBlock is what changes from step to step. The session writes it to the
// Control buffer before a span and reads it after; in between the kernels keep
// it. Its text in kernels/batch.cuh is struct Control.
type ControlBlock struct {
	Perm  data.Key // the epoch's order
	Done  int64    // optimiser steps since the start of the run
	First uint32   // position in the order of the next batch
	// Index of the next step in Rates; after a span, the number of steps taken.
	Index int32
	// Halt is 1 once the loss of a batch was not finite: no variable, sum or
	// counter changes from then on. Loss is that loss.
	Halt int32
	Loss float32
	Tick int32 // added to the tick of every batch
}

// ControlBytes is the size of the Control buffer.
const ControlBytes = 96

// haltOffset is where Halt is in the Control buffer.
const haltOffset = 84

// Bytes returns the block as the device has it.
func (c *ControlBlock) Bytes() []byte {
	b := make([]byte, 0, ControlBytes)
	u32 := func(v uint32) { b = binary.LittleEndian.AppendUint32(b, v) }
	u32(c.Perm.N)
	u32(c.Perm.LoBits)
	u32(c.Perm.LoMask)
	u32(c.Perm.HiMask)
	for _, k := range c.Perm.Round {
		u32(k)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(c.Done))
	u32(c.Perm.Ordered)
	u32(c.First)
	u32(uint32(c.Index))
	u32(uint32(c.Halt))
	u32(math.Float32bits(c.Loss))
	u32(uint32(c.Tick))
	return b
}

// ParseControl returns what the device has made of a block, but for Perm.
func ParseControl(b []byte) ControlBlock {
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	return ControlBlock{
		Done: int64(binary.LittleEndian.Uint64(b[64:])), First: u32(76), Index: int32(u32(80)),
		Halt: int32(u32(haltOffset)), Loss: math.Float32frombits(u32(88)), Tick: int32(u32(92)),
	}
}

// A Column is features or targets as they lie in device memory: rows of Size
// elements.
type Column struct {
	Type ElementType
	Size int
	// Scales is the number of elements of scale and shift: Size, 1, or 0 for
	// none.
	Scales int
	// Centered: there are as many of center.
	Centered bool
}

// An ElementType is the type of stored data.
type ElementType uint8

const (
	// None means that there is no such column.
	None ElementType = iota
	// U8 is a byte.
	U8
	// F32 is a float32.
	F32
	// I32 is an int32.
	I32
)

// ColumnOf returns the column of a table.
func ColumnOf(t *data.Table) Column {
	c := Column{Size: t.RowSize(), Scales: len(t.Scale), Centered: len(t.Center) > 0}
	switch {
	case t.U8 != nil:
		c.Type = U8
	case t.F32 != nil:
		c.Type = F32
	case t.I32 != nil:
		c.Type = I32
	}
	return c
}

// A Batch says how a program's batch is filled.
type Batch struct {
	X, Y Column
	// Weight is the value of ir.InSeed: the batch's share of the step's rows.
	Weight float32
	// Micro is the number of the batch in its step of Accumulate batches.
	Micro, Accumulate int
}

// Gather returns the launch that fills the inputs of p: rows Control.First and on
// of the epoch's order, normalised as data.Table.Gather does, the weight, and the
// tick, Done·Accumulate + Micro + Tick. It changes nothing but the inputs.
func (p *Plan) Gather(b Batch) Launch { return p.gather(b) }

// An End says what follows a batch.
type End struct {
	// Rows of the batch.
	Rows int
	// Last: the batch is the last of its step. The step's sums are then added
	// to the span's, and Done and Index count one more.
	Last bool
	// Update, if not nil, is the plan whose rate and step are filled for the step
	// that ends. Needs Last.
	Update *Plan
}

// EndBatch returns the launch that ends a batch of p. If nothing has been halted
// and the loss is finite, it adds loss·rows and the metrics to the sums of the
// step, and rows to Control.First; otherwise it halts. The Sums buffer has
// 2·SumsSize float64: the sums of the step, which must begin with zeros, then
// those of the span. Progress, unless it is nowhere, gets Index.
func (p *Plan) EndBatch(e End) Launch { return p.endBatch(e) }

// SumsSize returns the number of elements of all Sums together.
func (p *Plan) SumsSize() int {
	n := 0
	for _, s := range p.Sums {
		n += s.Size
	}
	return n
}

// findSums notes loss and metrics of the program, loss first.
func (b *builder) findSums() {
	p := b.plan
	p.sums = len(p.Table)
	at := 0
	add := func(slot int, name string) {
		n := p.Program.Values[slot].Size()
		p.Sums = append(p.Sums, Sum{Name: name, Size: n, Offset: at})
		p.Table = append(p.Table, ptr(p.Values[slot]), i64(at), i64(n))
		at += n
	}
	for i := range p.Program.Values {
		if v := &p.Program.Values[i]; v.Kind == ir.Output && v.Name == ir.OutLoss {
			add(i, ir.OutLoss)
		}
	}
	for i := range p.Program.Values {
		v := &p.Program.Values[i]
		if name, ok := metricName(v); ok {
			add(i, name)
		}
	}
}
