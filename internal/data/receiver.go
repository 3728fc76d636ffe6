package data

import (
	"fmt"
	"slices"
)

// A Receiver turns bytes into a Set as they arrive.
type Receiver struct {
	set       *Set
	prep      []byte
	fields    []field // that are not complete, in order
	at        int     // bytes of the first that are there
	got, want int64   // bytes of all
}

// A field is memory that is being filled.
type field struct {
	want int // bytes
	grow func(n int) block
	block
}

// firstBytes is how much memory a field gets at first. It then doubles.
const firstBytes = 1 << 16

// NewReceiver prepares to receive a set that a stranger may describe: a layout
// that cannot be is an error, and so is one of more bytes than limit. Memory is taken
// in proportion to the bytes that come, whatever the layout says.
func NewReceiver(l Layout, limit int64) (*Receiver, error) {
	want, err := l.Bytes(limit)
	if err != nil {
		return nil, err
	}
	r := &Receiver{set: &Set{Classes: l.Classes, Source: l.Source}, want: want}
	expect(r, &r.prep, l.Prep)
	for i := range l.Parts {
		from, to := &l.Parts[i], &r.set.Parts[i]
		to.Rows = from.Rows
		r.expectTable(&to.X, &from.X, from.Rows)
		r.expectTable(&to.Y, &from.Y, from.Rows)
	}
	return r, nil
}

func (r *Receiver) expectTable(t *Table, l *TableLayout, rows int) {
	t.Shape = slices.Clone(l.Shape)
	expect(r, &t.Center, l.Center)
	expect(r, &t.Scale, l.Scale)
	expect(r, &t.Shift, l.Shift)
	n := rows * t.RowSize()
	switch l.Type {
	case "u8":
		t.U8 = []byte{}
		expect(r, &t.U8, n)
	case "f32":
		t.F32 = []float32{}
		expect(r, &t.F32, n)
	case "i32":
		t.I32 = []int32{}
		expect(r, &t.I32, n)
	}
}

// expect adds a field of n numbers.
func expect[T byte | int32 | float32](r *Receiver, v *[]T, n int) {
	size := bytesOf(*v).size
	if n == 0 {
		return
	}
	r.fields = append(r.fields, field{want: n * size, grow: func(bytes int) block {
		longer := make([]T, bytes/size)
		copy(longer, *v)
		*v = longer
		return bytesOf(longer)
	}})
}

// Write takes the next bytes of the set. More than the layout says are an error.
func (r *Receiver) Write(p []byte) (int, error) {
	if int64(len(p)) > r.want-r.got {
		return 0, fmt.Errorf("data: got %d bytes, want %d", r.got+int64(len(p)), r.want)
	}
	for rest := p; len(rest) > 0; {
		f := &r.fields[0]
		if r.at == len(f.bytes) {
			f.block = f.grow(min(f.want, max(firstBytes, 2*r.at)))
		}
		n := copy(f.bytes[r.at:], rest)
		rest, r.at = rest[n:], r.at+n
		if r.at < f.want {
			continue
		}
		if bigEndian {
			reverse(f.block)
		}
		r.fields, r.at = r.fields[1:], 0
	}
	r.got += int64(len(p))
	return len(p), nil
}

// Set returns the set when all its bytes are there. That it fits a model is for
// the backend to check.
func (r *Receiver) Set() (*Set, error) {
	if r.got != r.want {
		return nil, fmt.Errorf("data: got %d bytes, want %d", r.got, r.want)
	}
	prep := new(Prep)
	if string(r.prep) != string(new(Set).prepText()) { // of a set without one
		var err error
		if prep, err = ParsePrep(r.prep); err != nil {
			return nil, fmt.Errorf("data: prep: %w", err)
		}
	}
	r.set.Prep = *prep
	return r.set, nil
}
