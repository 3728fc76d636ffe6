package data

import (
	"fmt"
	"math"
	"slices"
)

// A Layout describes the tables of a Set without their elements: what a receiver
// needs to make sense of the bytes that follow. It is small, whatever the set.
type Layout struct {
	Parts   [3]PartLayout `json:"parts"` // by Split
	Classes int           `json:"classes"`
	Source  string        `json:"source"`
	Prep    int           `json:"prep"` // bytes of the Prep in JSON, which come first
}

// A PartLayout describes one split.
type PartLayout struct {
	Rows int         `json:"rows"`
	X    TableLayout `json:"x"`
	Y    TableLayout `json:"y"`
}

// A TableLayout describes a table.
type TableLayout struct {
	Type   string `json:"type"` // of an element: "u8", "f32" or "i32"; "": there are none
	Shape  []int  `json:"shape"`
	Center int    `json:"center,omitempty"` // numbers of Center
	Scale  int    `json:"scale,omitempty"`
	Shift  int    `json:"shift,omitempty"`
}

// maxDims bounds the shape of a row that comes from elsewhere. No program has so
// many axes.
const maxDims = 16

// Layout describes the set.
func (s *Set) Layout() Layout {
	l := Layout{Classes: s.Classes, Source: s.Source, Prep: len(s.prepText())}
	for i := range s.Parts {
		p := &s.Parts[i]
		l.Parts[i] = PartLayout{Rows: p.Rows, X: p.X.layout(), Y: p.Y.layout()}
	}
	return l
}

func (t *Table) layout() TableLayout {
	l := TableLayout{Shape: slices.Clone(t.Shape),
		Center: len(t.Center), Scale: len(t.Scale), Shift: len(t.Shift)}
	switch {
	case t.U8 != nil:
		l.Type = "u8"
	case t.F32 != nil:
		l.Type = "f32"
	case t.I32 != nil:
		l.Type = "i32"
	}
	return l
}

// Bytes returns how many bytes follow the layout, or an error when no set has
// such a layout or they are more than limit.
func (l *Layout) Bytes(limit int64) (int64, error) {
	if l.Prep < 0 || l.Classes < 0 || l.Classes > math.MaxInt32 {
		return 0, fmt.Errorf("layout: %d bytes of prep and %d classes, want ≥ 0", l.Prep, l.Classes)
	}
	total := int64(l.Prep)
	for i := range l.Parts {
		p := &l.Parts[i]
		if p.Rows < 0 || int64(p.Rows) > math.MaxUint32 {
			return 0, fmt.Errorf("layout: %v rows: got %d, want 0 to %d", Split(i), p.Rows, uint32(math.MaxUint32))
		}
		for k, t := range []*TableLayout{&p.X, &p.Y} {
			n, err := t.bytes(p.Rows)
			if err != nil {
				return 0, fmt.Errorf("layout: %v %s: %w", Split(i), [2]string{"x", "y"}[k], err)
			}
			if n > limit {
				return 0, tooLarge(n, limit)
			}
			total += n // at most 7 numbers below 2^63 / 7: see bytes
		}
	}
	if total > limit {
		return 0, tooLarge(total, limit)
	}
	return total, nil
}

func tooLarge(got, limit int64) error {
	return fmt.Errorf("layout: got %d bytes of data, want at most %d", got, limit)
}

// bytes returns how many bytes the table takes: less than 2^60.
func (l *TableLayout) bytes(rows int) (int64, error) {
	if len(l.Shape) > maxDims {
		return 0, fmt.Errorf("got %d dims, want at most %d", len(l.Shape), maxDims)
	}
	size, err := elements("shape", l.Shape)
	if err != nil {
		return 0, err
	}
	if n := l.Scale; n != 0 && n != 1 && n != size || l.Shift != n {
		return 0, fmt.Errorf("scale and shift of %d and %d numbers, want both 0, 1 or %d", n, l.Shift, size)
	}
	if l.Center != 0 && l.Center != l.Scale {
		return 0, fmt.Errorf("center of %d numbers, want 0 or %d", l.Center, l.Scale)
	}
	norm := 4 * (int64(l.Center) + int64(l.Scale) + int64(l.Shift))
	switch l.Type {
	case "":
		return norm, nil
	case "u8":
		return norm + int64(rows)*int64(size), nil
	case "f32", "i32":
		if n := int64(rows) * int64(size); n < 1<<57 { // rows < 2^32, size < 2^31
			return norm + 4*n, nil
		}
		return 0, fmt.Errorf("got %d rows of %v, want fewer", rows, l.Shape)
	}
	return 0, fmt.Errorf("type: got %q, want u8, f32 or i32", l.Type)
}
