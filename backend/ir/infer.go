package ir

import (
	"fmt"
	"math"
	"slices"
)

const (
	// MaxSize is the largest number of elements of one value, so that an index
	// always fits in 32 bits.
	MaxSize = math.MaxInt32
	// maxRank bounds the number of dims of a value.
	maxRank = 8
	// maxWindow bounds each number of a Window, so that products of two fit in
	// 32 bits.
	maxWindow = 1 << 15
	// maxImage bounds height and width under a window, for the same reason.
	maxImage = 1 << 30
	// anyRank is the rank of inputs that may have any.
	anyRank = -1
)

// Infer returns type and shape of the values that op computes from values of the
// given types and shapes; other fields of in are not looked at. The result's
// values are Temps. Errors say what was found and wanted. It is the only place
// that knows the rules of shapes.
func Infer(op Op, a Attrs, in []Value) ([]Value, error) {
	if op == Invalid || int(op) >= NumOps {
		return nil, fmt.Errorf("op %d is none", op)
	}
	row := &ops[op]
	out, err := row.run(&a, in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", row.name, err)
	}
	return out, nil
}

func (row *opRow) run(a *Attrs, in []Value) ([]Value, error) {
	for i := range in {
		if in[i].Type > Int {
			return nil, fmt.Errorf("input %d: type %d is none", i, in[i].Type)
		}
		if err := checkShape(in[i].Shape); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
	}
	if f, text, found := unread(a, row.reads); found {
		return nil, fmt.Errorf("attribute %s is %s, but the op does not read it", f.name, text)
	}
	c := &check{in: in}
	out := row.infer(c, a)
	c.want(c.next >= len(in), "got %d inputs, want %d", len(in), c.next)
	for _, v := range out {
		if err := checkShape(v.Shape); err != nil {
			c.want(false, "output: %v", err)
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	return out, nil
}

// checkShape reports whether a value can have this shape: for one row, where it has
// multiples of B.
func checkShape(shape []int) error {
	if len(shape) < 1 || len(shape) > maxRank {
		return fmt.Errorf("rank %d, want 1 to %d", len(shape), maxRank)
	}
	n := int64(1)
	for i, d := range shape {
		if d < 0 {
			if i > 0 {
				return fmt.Errorf("shape %s, want B in the first dim only", ShapeText(shape))
			}
			d = -d
		}
		if d < 1 {
			return fmt.Errorf("shape %s, want dims >= 1", ShapeText(shape))
		}
		if n *= int64(d); n > MaxSize || d > MaxSize {
			return fmt.Errorf("shape %s, want at most %d elements", ShapeText(shape), MaxSize)
		}
	}
	return nil
}

// A check takes an op's inputs one by one and keeps the first error. After an
// error it hands out shapes of ones, so that infer functions need no exits.
type check struct {
	in   []Value
	next int
	err  error
}

// want notes an error unless ok.
func (c *check) want(ok bool, format string, args ...any) {
	if !ok && c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// more reports whether there are inputs left, and no error so far.
func (c *check) more() bool { return c.err == nil && c.next < len(c.in) }

// take returns the shape of the next input, which must have that type and rank.
func (c *check) take(name string, t Type, rank int) []int {
	i := c.next
	c.next++
	if i >= len(c.in) {
		c.want(false, "got %d inputs, want %s too", len(c.in), name)
	} else {
		v := &c.in[i]
		c.want(v.Type == t, "%s is %s, want %s", name, typeWord(v.Type), typeWord(t))
		c.want(rank == anyRank || len(v.Shape) == rank, "%s has shape %s, want rank %d",
			name, ShapeText(v.Shape), rank)
	}
	if c.err != nil {
		return slices.Repeat([]int{1}, max(rank, 2))
	}
	return c.in[i].Shape
}

// shaped takes the next input, which must have exactly that shape.
func (c *check) shaped(name string, t Type, shape ...int) {
	got := c.take(name, t, anyRank)
	c.want(slices.Equal(got, shape), "%s has shape %s, want %s", name, ShapeText(got), ShapeText(shape))
}

// target takes class labels int[R] or a tensor of the shape of x.
func (c *check) target(x []int) {
	if c.next < len(c.in) && c.in[c.next].Type == Int {
		c.shaped("target", Int, rowsShape(x)...)
		return
	}
	c.shaped("target", Float, x...)
}

// act checks the activation that the op applies.
func (c *check) act(a *Attrs) {
	c.want(a.Act < numActs, "act %d is none", a.Act)
	scaled := a.Act == LeakyReLU || a.Act == ELU
	c.want(a.Alpha == 0 || scaled, "alpha is %v, but %v has none", a.Alpha, a.Act)
	c.want(a.Alpha >= 0 && isFinite(a.Alpha), "alpha is %v, want >= 0", a.Alpha)
}

// float checks an attribute's range: low ≤ v < high, or low < v when open.
func (c *check) float(name string, v, low, high float64, open bool) {
	switch {
	case open:
		c.want(v > low && v < high, "%s is %v, want > %v and < %v", name, v, low, high)
	default:
		c.want(v >= low && v < high, "%s is %v, want >= %v and < %v", name, v, low, high)
	}
}

// eps checks the attribute Eps.
func (c *check) eps(a *Attrs) { c.float("eps", a.Eps, 0, math.Inf(1), true) }

func typeWord(t Type) string {
	if t == Int {
		return "int"
	}
	return "float"
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// last returns the size of the last dim, C in the ops' comments.
func last(shape []int) int { return shape[len(shape)-1] }

// rowsShape returns the shape without its last dim.
func rowsShape(shape []int) []int {
	if len(shape) == 1 {
		return []int{1}
	}
	return shape[:len(shape)-1]
}

// Rows returns the number of rows of a tensor of that shape and the length of a
// row: R and C in the ops' comments.
func Rows(shape []int) (rows, cols int) {
	cols = shape[len(shape)-1]
	return Size(shape) / cols, cols
}

// Around returns the number of elements before an axis, and from it on.
func Around(shape []int, axis int) (outer, inner int) { return Size(shape[:axis]), Size(shape[axis:]) }

func newValue(t Type, shape ...int) Value {
	return Value{Type: t, Shape: slices.Clone(shape), Var: -1, Of: None}
}

// floats returns Float values of the given shapes.
func floats(shapes ...[]int) []Value {
	out := make([]Value, len(shapes))
	for i, shape := range shapes {
		out[i] = newValue(Float, shape...)
	}
	return out
}
