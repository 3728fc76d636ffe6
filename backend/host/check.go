package host

import (
	"fmt"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
)

// checkData checks shapes and integers of the job's data against the programs,
// so that no kernel meets a class or id that does not exist.
func (s *session) checkData() error {
	for i := range s.job.Data.Parts {
		part := &s.job.Data.Parts[i]
		if part.Rows == 0 {
			continue
		}
		if err := s.checkPart(part, data.Split(i)); err != nil {
			return fmt.Errorf("%v data: %w", data.Split(i), err)
		}
	}
	return nil
}

func (s *session) checkPart(part *data.Part, split data.Split) error {
	if x, y := part.X.Rows(), part.Y.Rows(); x != part.Rows || y != part.Rows {
		return fmt.Errorf("got %d rows of features and %d of targets, want %d", x, y, part.Rows)
	}
	rows := min(part.Rows, s.job.BatchSize)
	kinds := []programKind{forward}
	if split == data.Train {
		kinds = append(kinds, gradient)
	}
	for _, kind := range kinds {
		pr, err := s.program(kind, rows, kind == forward)
		if err != nil {
			return err
		}
		if err := pr.x.check(&part.X, rows, limit(pr.p, ir.InX)); err != nil {
			return fmt.Errorf("features: %w", err)
		}
		if err := pr.y.check(&part.Y, rows, limit(pr.p, ir.InY)); err != nil {
			return fmt.Errorf("targets: %w", err)
		}
	}
	return nil
}

// check reports whether rows of the table fit into the input, whose integers, if
// limit is not 0, must be less than it.
func (in input) check(t *data.Table, rows, limit int) error {
	want := max(len(in.f), len(in.i))
	if got := rows * t.RowSize(); want != 0 && got != want {
		return fmt.Errorf("%d rows of shape %v have %d elements, the program takes %d",
			rows, t.Shape, got, want)
	}
	switch {
	case in.i == nil:
		return nil
	case t.F32 != nil:
		return fmt.Errorf("got floats, the program takes integers")
	case limit == 0:
		return nil
	}
	return checkInts(t, limit)
}

// limit returns the number of values that an integer input may have: the ids of
// an embedding, or the classes of a loss or metric; 0 when nothing bounds it.
func limit(p *ir.Program, name string) (least int) {
	for i := range p.Instrs {
		ins := &p.Instrs[i]
		var n int
		switch ins.Op {
		case ir.Embedding:
			n = p.Values[ins.In[0]].Shape[0]
		case ir.SoftmaxXent:
			_, n = ir.Rows(p.Values[ins.In[0]].Shape)
		case ir.Metric:
			_, n = ir.Rows(p.Values[ins.In[0]].Shape)
			n = max(n, 2)
		default:
			continue
		}
		v := &p.Values[ins.In[1]]
		if v.Kind == ir.View {
			v = &p.Values[v.Of]
		}
		if v.Type == ir.Int && v.Name == name && (least == 0 || n < least) {
			least = n
		}
	}
	return least
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
				return fmt.Errorf("row %d: got %d, want 0 to %d", r, v, limit-1)
			}
		}
	}
	return nil
}
