package source

import (
	"fmt"
	"slices"

	"github.com/gespann/gespann/internal/data"
)

// settle sorts what the training rows taught the dicts, and renumbers the rows.
func (lay *layout) settle(rows *csvRows) {
	if lay.classes != nil && !lay.classes.frozen {
		renumber := lay.classes.sort()
		for i, id := range rows.classes {
			rows.classes[i] = renumber[id]
		}
	}
	categorical := 0
	for _, c := range lay.columns {
		if c.dict != nil {
			categorical++
		}
	}
	place := 0
	for _, c := range lay.columns {
		if c.dict == nil {
			continue
		}
		if !c.dict.frozen {
			renumber := c.dict.sort()
			for i := place; i < len(rows.ids); i += categorical {
				rows.ids[i] = renumber[rows.ids[i]]
			}
		}
		place++
	}
}

// oneHot returns which columns of the table are one-hot, and so not to be
// normalised.
func (lay *layout) oneHot() []bool {
	var is []bool
	for _, c := range lay.columns {
		if c.dict == nil || lay.ids {
			is = append(is, false)
		} else {
			is = append(is, slices.Repeat([]bool{true}, len(c.dict.words))...)
		}
	}
	return is
}

// part makes tables of rows.
func (lay *layout) part(rows *csvRows) (data.Part, error) {
	x, err := lay.table(rows)
	if err != nil {
		return data.Part{}, err
	}
	p := data.Part{X: x, Rows: rows.rows}
	switch {
	case rows.classes != nil:
		p.Y = data.Table{Shape: []int{}, I32: rows.classes}
	case rows.targets != nil:
		p.Y = data.Table{Shape: []int{1}, F32: rows.targets}
	}
	return p, nil
}

// table encodes the features: numbers as they are, categories one-hot; or, when
// the model takes ids, categories as ids, where those of each column follow
// those of the column before, so that one embedding serves all.
func (lay *layout) table(rows *csvRows) (data.Table, error) {
	if lay.ids {
		first := int32(0)
		for j, c := range lay.columns {
			for i := j; i < len(rows.ids); i += len(lay.columns) {
				rows.ids[i] += first
			}
			first += int32(len(c.dict.words))
		}
		return data.Table{Shape: []int{len(lay.columns)}, I32: rows.ids}, nil
	}
	if len(rows.ids) == 0 {
		return data.Table{Shape: []int{len(lay.columns)}, F32: rows.numbers}, nil
	}
	width := 0
	for _, c := range lay.columns {
		if c.dict == nil {
			width++
		} else {
			width += len(c.dict.words)
		}
	}
	if int64(width)*int64(rows.rows) > maxOneHot {
		return data.Table{}, fmt.Errorf("%d rows of %d columns, categories one-hot, are too many",
			rows.rows, width)
	}
	out := make([]float32, rows.rows*width)
	numbers, ids := rows.numbers, rows.ids
	for row := out; len(row) > 0; {
		for _, c := range lay.columns {
			if c.dict == nil {
				row[0], numbers, row = numbers[0], numbers[1:], row[1:]
				continue
			}
			row[ids[0]] = 1
			ids, row = ids[1:], row[len(c.dict.words):]
		}
	}
	return data.Table{Shape: []int{width}, F32: out}, nil
}
