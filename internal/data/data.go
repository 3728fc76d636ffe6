// Package data reads training data into memory and names its batches.
//
// Bytes stay bytes: a Table keeps the elements as they were stored, and Gather
// turns the rows of one batch into float32, normalising on the way.
package data

// A Split is a part of a data set.
type Split uint8

const (
	// Train is what the model learns from.
	Train Split = iota
	// Validation steers early stopping and the learning rate.
	Validation
	// Test is looked at once, at the end.
	Test
)

// A Table is a dense tensor of rows in memory. Exactly one of U8, F32, I32 and
// F64 is not nil. A Table that is being read must not be changed.
type Table struct {
	Shape []int // of one row; [] for a scalar per row, such as a class label
	U8    []byte
	F32   []float32
	I32   []int32
	// F64 are numbers as a file has them, before Prep.Normalize has made them
	// float32. No set that is ready for training has any.
	F64 []float64
	// Center, Scale and Shift normalise bytes where they are gathered:
	//
	//	(value − Center)·Scale + Shift
	//
	// Scale and Shift have one element for all columns, one per column of the
	// flattened row, or none. Center has as many as Scale, or none: then it is 0.
	Center, Scale, Shift []float32
}

// A Part is the rows of one split: features and, unless the data is only for
// prediction, targets.
type Part struct {
	X, Y Table
	Rows int
}

// A Set is a data set ready for training.
type Set struct {
	Parts   [3]Part // by Split; Validation and Test may have 0 rows
	Classes int     // number of classes of integer labels; 0 for other targets
	Source  string  // what was read, in words, for the log
	Prep    Prep    // how other data gets the same form
	Splits  Splits  // which rows the parts have
}

// Only returns the set with the rows of one split and none of the others.
func (s *Set) Only(split Split) *Set {
	only := *s
	for i := range only.Parts {
		if Split(i) != split {
			only.Parts[i] = s.Parts[i].without()
		}
	}
	return &only
}

// AsTest returns a set whose test rows are the rows of a split, and that has no
// others.
func (s *Set) AsTest(split Split) *Set {
	only := s.Only(split)
	only.Parts[split], only.Parts[Test] = only.Parts[Test], only.Parts[split]
	return only
}

// Untrained returns the set without training rows.
func (s *Set) Untrained() *Set {
	rest := *s
	rest.Parts[Train] = s.Parts[Train].without()
	return &rest
}

// without returns the part without its rows.
func (p Part) without() Part {
	p.Rows, p.X.U8, p.X.F32, p.X.I32, p.X.F64 = 0, nil, nil, nil, nil
	p.Y = Table{Shape: p.Y.Shape}
	return p
}

// String returns the name of the split.
func (s Split) String() string {
	return [...]string{"training", "validation", "test"}[s]
}
