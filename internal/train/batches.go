package train

import (
	"fmt"
	"strings"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// checkBatches returns an error when a gradient run of the training has a single value in
// the channels of a batch normalisation, which has no variance: the rows of an epoch leave
// one for the last batch, or a batch has one. However many workers or shards share a run,
// its statistics are of all its rows, so this is known before it begins.
func checkBatches(s *spec.Spec, m *model.Model, set *data.Set) error {
	rows, size := set.Parts[data.Train].Rows, s.Data.BatchSize
	if rows == 0 || rows > 1 && size > 1 && rows%size != 1 {
		return nil
	}
	if m.Members() > 0 {
		m = m.Member()
	}
	p, err := m.Gradient(false)
	if err != nil {
		return err
	}
	p = p.At(1)
	single := map[string]bool{}
	var layers []string
	for _, point := range meet.Points(p) {
		ins := &p.Instrs[point.Instr]
		if n, _ := ir.Rows(p.Values[ins.In[0]].Shape); n == 1 && !single[ins.Layer] {
			single[ins.Layer] = true
			layers = append(layers, ins.Layer)
		}
	}
	if layers == nil {
		return nil
	}
	what := fmt.Sprintf("the last batch of an epoch of %d rows has one row", rows)
	if rows == 1 || size == 1 {
		what = "a batch has one row"
	}
	e := s.Errorf("data.batch_size", "got %d: %s, and %s needs more than one value per channel in training",
		size, what, strings.Join(layers, ", "))
	if other := otherSize(rows, size); other > 0 {
		e.Hint = fmt.Sprintf("data.batch_size: %d leaves no single row; layer_normalization needs one row only", other)
	} else {
		e.Hint = "give it more rows; layer_normalization needs one row only"
	}
	return spec.Errors{e}
}

// otherSize returns the batch size next to size that leaves no single row, 0 if there is
// none.
func otherSize(rows, size int) int {
	for d := 1; d <= max(rows, size); d++ {
		for _, other := range []int{size + d, size - d} {
			if other > 1 && rows > 1 && rows%other != 1 {
				return other
			}
		}
	}
	return 0
}
