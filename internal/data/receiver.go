package data

import "fmt"

// A Receiver turns bytes into a Set as they arrive.
type Receiver struct {
	set       *Set
	prep      []byte
	blocks    []block // still to be filled, the first from at
	at        int
	got, want int64 // bytes
}

// NewReceiver prepares to receive a set that a stranger may describe: a layout
// that cannot be is an error, and so is one of more bytes than limit. The memory
// that the set takes is that many bytes, and is taken now.
func NewReceiver(l Layout, limit int64) (*Receiver, error) {
	want, err := l.Bytes(limit)
	if err != nil {
		return nil, err
	}
	set := &Set{Classes: l.Classes, Source: l.Source}
	for i := range l.Parts {
		p := &l.Parts[i]
		set.Parts[i] = Part{Rows: p.Rows, X: p.X.table(p.Rows), Y: p.Y.table(p.Rows)}
	}
	r := &Receiver{set: set, prep: make([]byte, l.Prep), want: want}
	r.blocks = append([]block{{r.prep, 1}}, set.blocks()...)
	return r, nil
}

// Write takes the next bytes of the set. More than the layout says are an error.
func (r *Receiver) Write(p []byte) (int, error) {
	if int64(len(p)) > r.want-r.got {
		return 0, fmt.Errorf("data: got %d bytes, want %d", r.got+int64(len(p)), r.want)
	}
	for rest := p; len(rest) > 0; {
		b := r.blocks[0]
		n := copy(b.bytes[r.at:], rest)
		rest, r.at = rest[n:], r.at+n
		if r.at < len(b.bytes) {
			continue
		}
		if bigEndian {
			reverse(b)
		}
		r.blocks, r.at = r.blocks[1:], 0
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
	x := &r.set.Parts[Train].X
	prep.Scale, prep.Shift = x.Scale, x.Shift
	r.set.Prep = *prep
	return r.set, nil
}
