package source

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/memlimit"
	"github.com/gespann/gespann/model/spec"
)

// maxClasses bounds the number of classes: more are a sign of a target that is
// not a class.
const maxClasses = 1 << 20

// maxOneHot bounds the elements of one-hot targets and features.
const maxOneHot = 1 << 31

// learnTargets decides the form of the targets from what the source has and what
// the loss needs, and checks the labels.
func learnTargets(r *raw, d spec.Data, opt Options, prep *data.Prep) error {
	if r.parts[data.Train].Y.I32 == nil {
		return numbers(r, d, opt, prep)
	}
	if !r.isClass && !d.OneHot && isRegression(opt.Loss) {
		prep.Target = data.Numbers
		return nil
	}
	if err := countClasses(r); err != nil {
		return err
	}
	prep.Classes, prep.Target = r.classes, data.Classes
	prep.Least, _ = r.parts[data.Train].Y.MinMaxInt()
	hint := "\nhint: set data.one_hot: true"
	if prep.Least > 0 && r.classes-prep.Least <= 2 && opt.Loss == "binary_crossentropy" {
		hint = countHint(prep.Least, r.classes-1)
	}
	switch {
	case d.OneHot && opt.Loss == "sparse_categorical_crossentropy":
		return fmt.Errorf("data.one_hot: loss %s takes class labels, not rows"+
			"\nhint: use categorical_crossentropy, or remove one_hot", opt.Loss)
	case d.OneHot:
		prep.Target = data.OneHot
	case opt.Loss == "binary_crossentropy" && r.classes <= 2:
		prep.Target = data.Binary
	case opt.Loss == "" || opt.Loss == "sparse_categorical_crossentropy":
	case opt.Loss == "binary_crossentropy":
		return fmt.Errorf("loss %s takes two classes or rows of 0 and 1, got %d classes%s",
			opt.Loss, r.classes, hint)
	case isRegression(opt.Loss):
		return fmt.Errorf("loss %s takes numbers or one-hot rows, got %d classes%s",
			opt.Loss, r.classes, hint)
	default:
		return fmt.Errorf("loss %s takes one-hot rows, got %d classes%s", opt.Loss, r.classes, hint)
	}
	return nil
}

// countHint says that labels begin with 0.
func countHint(least, most int) string {
	number := func(n int) string { return clip(strconv.Itoa(n)) }
	if least < 0 {
		return fmt.Sprintf("\nhint: classes count from 0, but the labels are %s to %s: add %s", number(least), number(most), number(-least))
	}
	return fmt.Sprintf("\nhint: classes count from 0, but the labels are %s to %s: subtract %s", number(least), number(most), number(least))
}

func isRegression(loss string) bool {
	switch loss {
	case "mean_squared_error", "mean_absolute_error", "huber":
		return true
	}
	return false
}

// numbers is learnTargets for targets of floats.
func numbers(r *raw, d spec.Data, opt Options, prep *data.Prep) error {
	prep.Target = data.Numbers
	prep.TargetRow = r.parts[data.Train].Y.Shape
	switch {
	case r.wide != nil && (d.OneHot || !isRegression(opt.Loss) && opt.Loss != ""):
		return r.wide
	case d.OneHot && r.rows != nil:
		return fmt.Errorf("data.one_hot: takes one class label per row, got %w", r.rows)
	case d.OneHot:
		return fmt.Errorf("data.one_hot: does not apply to targets that are numbers")
	case opt.Loss != "sparse_categorical_crossentropy":
		return nil
	case r.rows != nil:
		return fmt.Errorf("loss %s takes one class label per row, got %w"+
			"\nhint: loss categorical_crossentropy takes the same one-hot: in Python, "+
			"numpy.save(\"y.npy\", numpy.eye(classes, dtype=numpy.float32)[y])", opt.Loss, r.rows)
	case r.parts[data.Train].Y.RowSize() != 1:
		return fmt.Errorf("loss %s takes one class label per row, got numbers of shape %v per row",
			opt.Loss, r.parts[data.Train].Y.Shape)
	}
	return fmt.Errorf("loss %s takes integer class labels, got numbers"+
		"\nhint: save the labels as integers: in Python, numpy.save(\"y.npy\", y.astype(numpy.int64))", opt.Loss)
}

// inRange returns an error for a target that a loss cannot have: probabilities are
// from 0 to 1.
func inRange(v float32, loss string) error {
	switch loss {
	case "binary_crossentropy", "categorical_crossentropy":
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("target %s, want 0 to 1 for loss %s", clip(fmt.Sprint(v)), loss)
		}
	}
	return nil
}

// checkRange returns an error that names the first target which the loss cannot
// have. Labels have been checked, as integers.
func checkRange(r *raw, loss string) error {
	for split, p := range r.parts {
		size := p.Y.RowSize()
		for i, v := range p.Y.F32 {
			err := inRange(v, loss)
			if err == nil {
				continue
			}
			file := cmp.Or(r.targets, r.source)
			if data.Split(split) == data.Test {
				file = cmp.Or(r.tested, file)
			}
			if size > 1 {
				return fmt.Errorf("%s: row %d: column %d: %w", file, i/size, i%size, err)
			}
			return fmt.Errorf("%s: row %d: %w", file, i, err)
		}
	}
	return nil
}

// countClasses checks the labels of all parts and, where the source does not fix
// it, sets the number of classes: the greatest training label and one.
func countClasses(r *raw) error {
	if r.classes == 0 {
		y := &r.parts[data.Train].Y
		if err := y.CheckLabels(maxClasses); err != nil {
			least, most := y.MinMaxInt()
			if least < 0 && most-least < maxClasses {
				return fmt.Errorf("%w%s", err, countHint(least, most))
			}
			return fmt.Errorf("%w\nhint: class labels count from 0; numbers to predict need a regression loss", err)
		}
		_, most := y.MinMaxInt()
		r.classes = most + 1
	}
	for split, p := range r.parts {
		if err := p.Y.CheckLabels(r.classes); err != nil {
			return fmt.Errorf("%s: %w", data.Split(split), err)
		}
	}
	return nil
}

// finishTargets turns the integers that the source read into the form of prep.
func finishTargets(p *data.Part, prep *data.Prep) error {
	p.Y.Shape = prep.TargetShape()
	if p.Y.I32 == nil || prep.Target == data.Classes {
		return nil
	}
	if prep.Target == data.OneHot && int64(p.Rows)*int64(prep.Classes) > maxOneHot {
		return fmt.Errorf("data.one_hot: %d rows of %d classes are too many", p.Rows, prep.Classes)
	}
	if err := memlimit.Check(4 * int64(p.Rows) * int64(p.Y.RowSize())); err != nil {
		return fmt.Errorf("targets of %d rows, one-hot: %w", p.Rows, err)
	}
	floats := make([]float32, p.Rows*p.Y.RowSize())
	for i, label := range p.Y.I32 {
		if prep.Target == data.OneHot {
			floats[i*prep.Classes+int(label)] = 1
		} else {
			floats[i] = float32(label)
		}
	}
	p.Y.F32, p.Y.I32 = floats, nil
	return nil
}

// fits returns an error when what was read cannot take the form of prep.
func fits(r *raw, prep *data.Prep) error {
	for split, p := range r.parts {
		if p.Rows == 0 {
			continue
		}
		if shape := r.shape(data.Split(split), prep.Ints); !slices.Equal(shape, prep.Shape) {
			return fmt.Errorf("%s rows have shape %v, the model was trained on %v",
				data.Split(split), shape, prep.Shape)
		}
		if err := targetsFit(&p.Y, prep); err != nil {
			return fmt.Errorf("%s: %w", data.Split(split), err)
		}
	}
	return nil
}

func targetsFit(y *data.Table, prep *data.Prep) error {
	switch {
	case y.I32 != nil && prep.Target == data.Numbers:
		return nil
	case y.I32 != nil:
		return y.CheckLabels(prep.Classes)
	case prep.Target == data.Classes:
		return fmt.Errorf("targets are numbers, the model was trained on %d classes", prep.Classes)
	case !slices.Equal(y.Shape, prep.TargetShape()):
		return fmt.Errorf("targets have shape %v, the model was trained on %v",
			y.Shape, prep.TargetShape())
	}
	return nil
}
