package data

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// How the targets of a data set are stored.
const (
	// Classes are class labels: Int, one per row.
	Classes = "classes"
	// OneHot are rows of floats with a 1 at the class.
	OneHot = "one_hot"
	// Binary are rows of one float, 0 or 1: the class of two.
	Binary = "binary"
	// Numbers are rows of floats.
	Numbers = "numbers"
)

// A Prep is what was learnt from the training data to turn files into tables:
// it is saved with a run, so that other data meets the model in the same form.
// Its JSON form round-trips exactly.
type Prep struct {
	Source    string   `json:"source"`               // kind of source, as in the spec
	Shape     []int    `json:"shape"`                // of one row of features
	Ints      bool     `json:"ints,omitempty"`       // features are integer ids
	Target    string   `json:"target"`               // Classes, OneHot, Binary or Numbers
	TargetRow []int    `json:"target_row,omitempty"` // shape of a target row of Numbers; nil: [1]
	Classes   int      `json:"classes,omitempty"`    // number of classes; 0 with Numbers
	Labels    []string `json:"labels,omitempty"`     // class names, when the source names them
	CSV       *CSV     `json:"csv,omitempty"`        // with source csv
	// Scale and Shift are those of Table.
	Scale []float32 `json:"scale,omitempty"`
	Shift []float32 `json:"shift,omitempty"`
}

// CSV is how rows of text become rows of numbers.
type CSV struct {
	Delimiter string   `json:"delimiter"`
	Header    bool     `json:"header"`
	Fields    []string `json:"fields"`  // all columns of the training file, in order
	Label     string   `json:"label"`   // the column to predict
	Columns   []Column `json:"columns"` // the features, in order
}

// A Column is one feature column of a CSV file.
type Column struct {
	Name string `json:"name"`
	// Categories are the values of a categorical column, sorted; nil for a
	// column of numbers.
	Categories []string `json:"categories,omitempty"`
}

// TargetShape returns the shape of one target row; [] for class labels.
func (p *Prep) TargetShape() []int {
	switch p.Target {
	case OneHot:
		return []int{p.Classes}
	case Binary:
		return []int{1}
	case Numbers:
		if p.TargetRow != nil {
			return p.TargetRow
		}
		return []int{1}
	}
	return []int{}
}

// ParsePrep reads the JSON form of a Prep, and checks that its parts fit one
// another, so that no reader meets a shape or column that cannot be.
func ParsePrep(text []byte) (*Prep, error) {
	p := new(Prep)
	if err := json.Unmarshal(text, p); err != nil {
		return nil, err
	}
	return p, p.check()
}

func (p *Prep) check() error {
	size, err := elements("shape", p.Shape)
	if err != nil {
		return err
	}
	if len(p.Shape) == 0 {
		return fmt.Errorf("shape: got [], want dims ≥ 1")
	}
	if _, err := elements("target_row", p.TargetRow); err != nil {
		return err
	}
	switch n := len(p.Scale); {
	case !slices.Contains([]string{Classes, OneHot, Binary, Numbers}, p.Target):
		return fmt.Errorf("target: got %q, want classes, one_hot, binary or numbers", p.Target)
	case p.Target != Numbers && (p.Classes < 1 || p.Classes > math.MaxInt32):
		return fmt.Errorf("classes: got %d, want 1 to %d", p.Classes, math.MaxInt32)
	case p.Labels != nil && len(p.Labels) != p.Classes:
		return fmt.Errorf("labels: got %d, want %d", len(p.Labels), p.Classes)
	case n != 0 && n != 1 && n != size:
		return fmt.Errorf("scale: got %d elements, want 0, 1 or %d", n, size)
	case len(p.Shift) != n:
		return fmt.Errorf("shift: got %d elements, want %d", len(p.Shift), n)
	case p.CSV == nil:
		return nil
	case !slices.Contains(p.CSV.Fields, p.CSV.Label):
		return fmt.Errorf("csv: label %q is not one of the fields", p.CSV.Label)
	}
	if width := p.CSV.width(p.Ints); width != size {
		return fmt.Errorf("csv: columns of %d numbers, want %d", width, size)
	}
	return nil
}

// width returns how many numbers the columns become: one each, or, when
// categories do not stay ids, one per category.
func (c *CSV) width(ids bool) int {
	n := 0
	for _, column := range c.Columns {
		if column.Categories == nil || ids {
			n++
		} else {
			n += len(column.Categories)
		}
	}
	return n
}

// elements returns the number of elements of a shape that a value can have.
func elements(what string, shape []int) (int, error) {
	n := int64(1)
	for _, dim := range shape {
		if dim < 1 {
			return 0, fmt.Errorf("%s: got %v, want dims ≥ 1", what, shape)
		}
		if n *= int64(dim); n > math.MaxInt32 || dim > math.MaxInt32 {
			return 0, fmt.Errorf("%s: got %v, want at most %d elements", what, shape, math.MaxInt32)
		}
	}
	return int(n), nil
}
