package jobs

import (
	"maps"
	"slices"

	"github.com/gespann/gespann/dist/wire"
)

// MaxPoints is how many points a series of a Curve keeps. When there are more,
// neighbours become one, so a series of any length covers the whole run.
const MaxPoints = 500

// A Curve is how loss and metrics of a job went.
type Curve struct {
	Train      []Point `json:"train"`      // means over the steps since the point before
	Validation []Point `json:"validation"` // means over the split
}

// A Point is the values after so many optimiser steps. Points do not change.
type Point struct {
	Step   int64                 `json:"step"`
	Epoch  float64               `json:"epoch"` // with the fraction that is done
	Values map[string]wire.Value `json:"values"`
	Rows   int64                 `json:"rows"` // that they are means over
}

// Clone returns a copy that shares the points.
func (c *Curve) Clone() *Curve {
	return &Curve{Train: slices.Clone(c.Train), Validation: slices.Clone(c.Validation)}
}

// AddTrain adds a point to the training series. Points behind it are of steps
// that are being repeated, and are dropped first.
func (c *Curve) AddTrain(p Point) { c.Train = add(c.Train, p) }

// AddValidation adds a point to the validation series, as AddTrain.
func (c *Curve) AddValidation(p Point) { c.Validation = add(c.Validation, p) }

// Rewind drops the points after a step: the run goes on from there.
func (c *Curve) Rewind(step int64) {
	c.Train = before(c.Train, step+1)
	c.Validation = before(c.Validation, step+1)
}

func add(s []Point, p Point) []Point {
	s = append(before(s, p.Step), p)
	if len(s) <= MaxPoints {
		return s
	}
	half := make([]Point, 0, MaxPoints)
	for ; len(s) > 1; s = s[2:] {
		half = append(half, merge(s[0], s[1]))
	}
	return append(half, s...)
}

// before returns the points of steps before the given one.
func before(s []Point, step int64) []Point {
	for len(s) > 0 && s[len(s)-1].Step >= step {
		s = s[:len(s)-1]
	}
	return s
}

// merge returns the mean of two neighbours over the rows of both.
func merge(a, b Point) Point {
	rows := a.Rows + b.Rows
	values := maps.Clone(b.Values)
	if rows > 0 {
		for name, v := range b.Values {
			if u, ok := a.Values[name]; ok {
				values[name] = (u*wire.Value(a.Rows) + v*wire.Value(b.Rows)) / wire.Value(rows)
			}
		}
	}
	return Point{Step: b.Step, Epoch: b.Epoch, Values: values, Rows: rows}
}
