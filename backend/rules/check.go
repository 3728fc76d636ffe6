package rules

import (
	"fmt"
	"slices"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
)

// CheckData checks shapes and integers of the job's data against the programs,
// so that no kernel meets a class or id that does not exist.
func CheckData(job *backend.Job, vars []ir.Var) error {
	if job.Data == nil {
		return nil
	}
	for i := range job.Data.Parts {
		part, split := &job.Data.Parts[i], data.Split(i)
		if part.Rows == 0 {
			continue
		}
		if err := checkPart(job, vars, part, split); err != nil {
			return fmt.Errorf("%v data: %w", split, err)
		}
	}
	return nil
}

func checkPart(job *backend.Job, vars []ir.Var, part *data.Part, split data.Split) error {
	if x, y := part.X.Rows(), part.Y.Rows(); x != part.Rows || y != part.Rows {
		return fmt.Errorf("got %d rows of features and %d of targets, want %d", x, y, part.Rows)
	}
	kinds := []Kind{Forward}
	if split == data.Train {
		kinds = append(kinds, Gradient)
	}
	rows := min(part.Rows, job.BatchSize)
	for _, kind := range kinds {
		p, err := Build(job, vars, kind, rows, kind == Forward)
		if err != nil {
			return err
		}
		if err := CheckInput(p, ir.InX, &part.X, rows); err != nil {
			return err
		}
		if err := CheckInput(p, ir.InY, &part.Y, rows); err != nil {
			return err
		}
	}
	return nil
}

// CheckInput reports whether so many rows of a table fit the input x or y of a
// program: their size and type, that every integer is a class or id that there is,
// and every target of a cross-entropy from 0 to 1. A program without the input
// takes any table.
func CheckInput(p *ir.Program, name string, t *data.Table, rows int) error {
	i := slices.IndexFunc(p.Values, func(v ir.Value) bool { return v.Kind == ir.Input && v.Name == name })
	if i < 0 {
		return nil
	}
	v, what := &p.Values[i], "features"
	if name == ir.InY {
		what = "targets"
	}
	if got, want := rows*t.RowSize(), v.Size(); got != want {
		return fmt.Errorf("%s: %d rows of shape %v have %d elements, the program takes %d",
			what, rows, t.Shape, got, want)
	}
	if v.Type != ir.Int && wantsProbabilities(p, name) {
		if err := checkProbabilities(t); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if v.Type != ir.Int {
		return nil
	}
	if t.F32 != nil {
		return fmt.Errorf("%s: got floats, the program takes integers", what)
	}
	if n := limit(p, name); n > 0 {
		if err := checkInts(t, n); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// limit returns the number of values that an integer input may have: the ids of
// an embedding, or the classes of a loss or metric; 0 when nothing bounds it.
func limit(p *ir.Program, name string) (least int) {
	for i := range p.Instrs {
		ins := &p.Instrs[i]
		n := p.IDs(ins)
		if n == 0 {
			continue
		}
		v := &p.Values[p.Root(ins.In[1])]
		if v.Type == ir.Int && v.Name == name && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

// wantsProbabilities reports whether a cross-entropy takes the floats of an input:
// beyond 0 to 1 it has no least value.
func wantsProbabilities(p *ir.Program, name string) bool {
	return slices.ContainsFunc(p.Instrs, func(ins ir.Instr) bool {
		if ins.Op != ir.SoftmaxXent && (ins.Op != ir.PointLoss || ins.Attrs.Loss != ir.SigmoidXent) {
			return false
		}
		v := &p.Values[p.Root(ins.In[1])]
		return v.Kind == ir.Input && v.Name == name
	})
}

// checkProbabilities reports the first element that is not 0 ≤ p ≤ 1.
func checkProbabilities(t *data.Table) error {
	size := t.RowSize()
	at := func(i int, v any) error {
		const want = "want 0 to 1 for a cross-entropy"
		place := fmt.Sprintf("row %d: column %d: ", i/size, i%size)
		return data.NewValueError(fmt.Sprintf("%sgot %v, %s", place, v, want), place+want)
	}
	for i, v := range t.F32 {
		if !(v >= 0 && v <= 1) {
			return at(i, v)
		}
	}
	if low, high := t.MinMaxInt(); t.F32 == nil && (low < 0 || high > 1) {
		return at(0, fmt.Sprintf("integers from %d to %d", low, high))
	}
	return nil
}

// checkInts reports the first integer of the table that is not 0 ≤ i < limit.
func checkInts(t *data.Table, limit int) error {
	if low, high := t.MinMaxInt(); low >= 0 && int(high) < limit {
		return nil
	}
	row := make([]int32, t.RowSize())
	for r := range t.Rows() {
		t.GatherInt(row, []uint32{uint32(r)})
		for _, v := range row {
			if v < 0 || int(v) >= limit {
				return data.NewValueError(fmt.Sprintf("row %d: got %d, want 0 to %d", r, v, limit-1),
					fmt.Sprintf("row %d: want 0 to %d", r, limit-1))
			}
		}
	}
	return nil
}
