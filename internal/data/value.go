package data

import (
	"errors"
	"strings"
)

// A ValueError is a value of the data that cannot be.
type ValueError struct {
	text  string // where it is, what it is, and what was wanted
	place string // the same without the value, and without names that the data has
}

// NewValueError returns an error with both of its texts: with the value, and without.
func NewValueError(text, place string) *ValueError { return &ValueError{text, place} }

func (e *ValueError) Error() string { return e.text }

// Place says where the value is and what was wanted, but nothing that stands in the data.
func (e *ValueError) Place() string { return e.place }

// Conceal returns err without the value that it is about, for those who may not see the
// data.
func Conceal(err error) error {
	var value *ValueError
	if !errors.As(err, &value) {
		return err
	}
	return errors.New(strings.Replace(err.Error(), value.text, value.place, 1))
}
