package source

import (
	"fmt"

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
	for j, c := range lay.columns {
		if c.dict == nil || c.dict.frozen {
			continue
		}
		renumber := c.dict.sort()
		for i := j; i < len(rows.cells); i += len(lay.columns) {
			rows.cells[i] = float64(renumber[int(rows.cells[i])])
		}
	}
}

// part makes tables of rows.
func (lay *layout) part(rows *csvRows) data.Part {
	p := data.Part{X: lay.table(rows), Rows: rows.rows}
	switch {
	case rows.classes != nil:
		p.Y = data.Table{Shape: []int{}, I32: rows.classes}
	case rows.targets != nil:
		p.Y = data.Table{Shape: []int{1}, F32: rows.targets}
	}
	return p
}

// table returns a number for each feature: of a category, which one it is. When
// the model takes ids, those of each column follow those of the column before, so
// that one embedding serves all.
func (lay *layout) table(rows *csvRows) data.Table {
	if !lay.ids {
		return data.Table{Shape: []int{len(lay.columns)}, F64: rows.cells}
	}
	ids := make([]int32, len(rows.cells))
	first := int32(0)
	for j, c := range lay.columns {
		for i := j; i < len(ids); i += len(lay.columns) {
			ids[i] = first + int32(rows.cells[i])
		}
		first += int32(len(c.dict.words))
	}
	return data.Table{Shape: []int{len(lay.columns)}, I32: ids}
}

// encode normalises the features of a CSV file, and makes categories one-hot.
func encode(t *data.Table, prep *data.Prep) error {
	if prep.Ints {
		return prep.Normalize(t)
	}
	width := (&data.Table{Shape: prep.Shape}).RowSize()
	if rows := t.Rows(); int64(width)*int64(rows) > maxOneHot {
		return fmt.Errorf("%d rows of %d columns, categories one-hot, are too many", rows, width)
	}
	return prep.Encode(t)
}
