package data

// A ValueError is a value of the data that cannot be.
type ValueError struct {
	text  string // where it is, what it is, and what was wanted
	place string // the same without the value, and without names that the data has
}

func (e *ValueError) Error() string { return e.text }

// Place says where the value is and what was wanted, but nothing that stands in the data.
func (e *ValueError) Place() string { return e.place }
