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
	Least     int      `json:"least,omitempty"`      // least label of the training rows
	Labels    []string `json:"labels,omitempty"`     // class names, when the source names them
	CSV       *CSV     `json:"csv,omitempty"`        // with source csv
	Bytes     bool     `json:"bytes,omitempty"`      // features were stored as bytes
	// From and Width normalise features, (value − From)/Width: one element for all
	// columns, one per column of the flattened row, or none. Width > 0.
	From  []float64 `json:"from,omitempty"`
	Width []float64 `json:"width,omitempty"`
	// Scale and Shift, with no From, are of runs that normalised in float32:
	// value·Scale + Shift, each rounded.
	Scale []float32 `json:"scale,omitempty"`
	Shift []float32 `json:"shift,omitempty"`
}

// CSV is how rows of text become rows of numbers.
type CSV struct {
	Encoding  string   `json:"encoding,omitempty"` // as in the spec; "": UTF-8
	Delimiter string   `json:"delimiter"`
	Header    bool     `json:"header"`
	Fields    []string `json:"fields"`  // all columns of the training file, in order
	Label     string   `json:"label"`   // the column to predict
	Columns   []Column `json:"columns"` // the features, in order

	// For messages about other files than that of the training, when Delimiter is theirs:
	Trained string `json:"-"` // the delimiter of the training file; "": Delimiter
	SetBy   string `json:"-"` // the flag or variable that gives Delimiter; "": none
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
	switch {
	case !slices.Contains([]string{Classes, OneHot, Binary, Numbers}, p.Target):
		return fmt.Errorf("target: got %q, want classes, one_hot, binary or numbers", p.Target)
	case p.Target != Numbers && (p.Classes < 1 || p.Classes > math.MaxInt32):
		return fmt.Errorf("classes: got %d, want 1 to %d", p.Classes, math.MaxInt32)
	case p.Labels != nil && len(p.Labels) != p.Classes:
		return fmt.Errorf("labels: got %d, want %d", len(p.Labels), p.Classes)
	}
	if err := p.checkNorm(size); err != nil || p.CSV == nil {
		return err
	}
	if !slices.Contains(p.CSV.Fields, p.CSV.Label) {
		return fmt.Errorf("csv: label %q is not one of the fields", p.CSV.Label)
	}
	if width := p.CSV.Width(p.Ints); width != size {
		return fmt.Errorf("csv: columns of %d numbers, want %d", width, size)
	}
	return nil
}

// Normalizes reports whether features are normalised.
func (p *Prep) Normalizes() bool { return len(p.From) > 0 || len(p.Scale) > 0 }

// checkNorm checks the normalisation of rows of so many elements.
func (p *Prep) checkNorm(size int) error {
	for _, norm := range []struct {
		name, other string
		n, others   int
	}{
		{"scale", "shift", len(p.Scale), len(p.Shift)}, {"from", "width", len(p.From), len(p.Width)},
	} {
		switch n := norm.n; {
		case n != 0 && n != 1 && n != size:
			return fmt.Errorf("%s: got %d elements, want 0, 1 or %d", norm.name, n, size)
		case norm.others != n:
			return fmt.Errorf("%s: got %d elements, want %d", norm.other, norm.others, n)
		}
	}
	if len(p.From) > 0 && len(p.Scale) > 0 {
		return fmt.Errorf("got from and scale, want one of them")
	}
	for j, width := range p.Width {
		if !(width > 0) {
			return fmt.Errorf("width: element %d is %v, want > 0", j, width)
		}
	}
	return nil
}

// Width returns how many numbers the columns become: one each, or, when
// categories do not stay ids, one per category.
func (c *CSV) Width(ids bool) int {
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
