package train

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/gespann/gespann/internal/shell"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// note keeps a sentence to tell when the run has started.
func (l *loop) note(format string, args ...any) {
	l.notes = append(l.notes, fmt.Sprintf(format, args...))
}

// checkChanges refuses settings that are other than the run has had them until now, and
// may not be, or not inside an epoch: spec.ChangeOf has the rules.
func (l *loop) checkChanges(old *spec.Spec) error {
	inside := 0
	if l.at.Step > 0 {
		inside = l.at.Epoch + 1
	}
	if err := checkChanges(old, l.Spec, l.Dir.Path, inside); err != nil {
		return err
	}
	if begun := max(l.at.Epoch, inside); l.Spec.Train.Epochs < begun {
		return spec.Errors{l.Spec.Errorf("train.epochs", "got %d, but the run has begun epoch %d", l.Spec.Train.Epochs, begun)}
	}
	if !l.over() {
		return nil
	}
	var bad spec.Errors
	for _, d := range spec.Differences(old, l.Spec) {
		if !stillCounts(d.Key) {
			bad = append(bad, l.Spec.Errorf(d.Key, "%s, and no step is left that would follow it", differs(d)))
		}
	}
	if len(bad) > 0 {
		bad.Sort()
		return bad
	}
	return nil
}

// over reports whether the run has no step left.
func (l *loop) over() bool {
	return l.at.Step == 0 && (l.at.Epoch >= l.Spec.Train.Epochs || l.stopped())
}

// stillCounts reports whether a setting has an effect on a run whose steps are all taken:
// how it is evaluated, or whether they are.
func stillCounts(key string) bool {
	rule := spec.ChangeOf(key)
	return rule.Evaluate && key != "data.batch_size" || rule.When == spec.Place ||
		key == "train.epochs" || key == "train.early_stopping.patience" ||
		strings.HasPrefix(key, "cluster.") && !strings.HasPrefix(key, "cluster.strategy")
}

// CheckChanges refuses settings that are other than in the run and may never be. Run
// does that too, and more; but data that is read as another run would may end in an
// error about the data.
func (d *Dir) CheckChanges(s *spec.Spec) error {
	old, err := d.Spec(spec.Options{})
	if err != nil {
		return err
	}
	for _, x := range spec.Differences(old, s) {
		if x.Key == "train.dir" && sameFolder(s.Train.Dir, filepath.Dir(d.Path)) {
			s.Train.Dir = old.Train.Dir // another way to write it
			continue
		}
		if rule := spec.ChangeOf(x.Key); rule.When == spec.Place {
			return spec.Errors{s.Errorf(x.Key, "got %s, but %s", x.New, rule.Why)}
		}
	}
	return checkChanges(old, s, d.Path, 0)
}

// sameFolder reports whether two paths are those of one folder.
func sameFolder(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	two, err := os.Stat(b)
	return err == nil && os.SameFile(one, two)
}

// checkChanges compares the specs of a run in a directory, which is inside an epoch,
// counted from 1; 0: between two.
func checkChanges(old, now *spec.Spec, path string, inside int) error {
	var bad spec.Errors
	for _, d := range spec.Differences(old, now) {
		rule := spec.ChangeOf(d.Key)
		if rule.When == spec.Place || rule.When == spec.Anytime || rule.When == spec.BetweenEpochs && inside == 0 {
			continue
		}
		keeps := "keeps it"
		if rule.When == spec.BetweenEpochs {
			keeps = "keeps it until the epoch ends"
		}
		e := now.Errorf(d.Key, "%s, and %s: %s", differs(d), keeps, rule.Why)
		e.Hint = fmt.Sprintf("a new run may begin with the weights of this one: train --from %s", shell.Word(path))
		if rule.When == spec.BetweenEpochs {
			e.Hint = fmt.Sprintf("the run is inside epoch %d: --epochs %[1]d finishes that first", inside)
			if c, ok := now.Train.Schedule.Params.(*spec.Cosine); ok && c.DecaySteps == 0 {
				e.Hint += ", and with train.schedule.cosine.decay_steps the cosine keeps its length"
			}
		}
		bad = append(bad, e)
	}
	if len(bad) > 0 {
		bad.Sort()
		return bad
	}
	return nil
}

// differs says what the two sides of a difference are, in one line.
func differs(d spec.Difference) string {
	if strings.Contains(d.Old+d.New, "\n") {
		return "not what the run has"
	}
	word := func(v string) string {
		if v == "" {
			return "nothing"
		}
		return v
	}
	return fmt.Sprintf("got %s, but the run has %s", word(d.New), word(d.Old))
}

// followMonitors lets the watches follow what they are to: what they saw of another value
// is forgotten.
func (l *loop) followMonitors(old *spec.Spec) {
	stop := l.Spec.Train.EarlyStopping
	if l.at.Best.Monitor == "" {
		l.at.Best.Monitor = old.Train.EarlyStopping.Monitor
	}
	if was := l.at.Best; l.at.Best.follow(stop.Monitor) && stop.Patience > 0 {
		l.note("Early stopping followed %s, whose best was %v in epoch %d; from now on it looks for the best %s.",
			was.Monitor, float64(was.Best), was.Epoch, stop.Monitor)
	}
	if l.plateau == nil {
		l.at.Plateau = watch{}
		return
	}
	if p, ok := old.Train.Schedule.Params.(*spec.ReduceOnPlateau); ok && l.at.Plateau.Monitor == "" {
		l.at.Plateau.Monitor = p.Monitor
	}
	if was := l.at.Plateau; l.at.Plateau.follow(l.plateau.Monitor) {
		l.note("The schedule followed %s, whose best was %v in epoch %d; from now on it looks for the best %s.",
			was.Monitor, float64(was.Best), was.Epoch, l.plateau.Monitor)
	}
}

// followPlateau tells of the factor by which reduce_on_plateau has lowered the rate, where
// that is not what the settings say, and takes it back with the schedule.
func (l *loop) followPlateau(old *spec.Spec) {
	switch {
	case l.at.Factor == 1:
	case l.plateau == nil:
		l.note("reduce_on_plateau had multiplied the learning rate by %.3g; with another schedule that no longer holds.", float64(l.at.Factor))
		l.at.Factor = 1
	case old.LearningRate() != l.Spec.LearningRate():
		l.note("reduce_on_plateau has multiplied the learning rate by %.3g so far: it goes on with %s.",
			float64(l.at.Factor), rateWords(l.rates(l.at.Steps, float64(l.at.Factor))))
	}
}

// noteCosine tells of a cosine that ends with the run, when that has become longer or
// shorter: the rate jumps.
func (l *loop) noteCosine(old *spec.Spec) {
	was, ok := old.Train.Schedule.Params.(*spec.Cosine)
	now, still := l.Spec.Train.Schedule.Params.(*spec.Cosine)
	if !ok || !still || was.DecaySteps != 0 || now.DecaySteps != 0 || l.was.PerStep == 0 {
		return
	}
	perEpoch := int64((l.was.Rows + l.was.PerStep - 1) / l.was.PerStep)
	before := l.was.Steps - int64(l.was.Step) + int64(old.Train.Epochs-l.was.Epoch)*perEpoch
	if before == l.total {
		return
	}
	at, factor := l.at.Steps, float64(l.at.Factor)
	from, to := model.NewSchedule(old, before).Rate(at, factor), l.rates(at, factor)
	l.note("The cosine ends with the run, which has become %d steps in place of %d: the learning rate goes on with %s "+
		"in place of %s. train.schedule.cosine.decay_steps sets its length.",
		l.total, before, rateWords(to), rateWords(from))
}

// noteStrategy tells of what a strategy keeps outside of checkpoints.
func (l *loop) noteStrategy() {
	if kind(l.Spec) == "cluster" && l.Spec.Cluster.Strategy.Kind == "diloco" && l.saved != "" {
		l.note("diloco's outer momentum begins at zero: the run goes on, but not with the bits of one that was never interrupted.")
	}
}

// checkBest lets early stopping look for the best values anew when the weights that had
// them are not there; a run without steps left it refuses, whose model may have them.
func (l *loop) checkBest() error {
	if !l.at.Best.Seen || l.Spec.Train.EarlyStopping.Patience == 0 {
		return nil
	}
	state, at, err := readState(l.Dir.bestPath())
	if err == nil {
		_, err = state.Values(l.Model.Vars())
	}
	if err == nil && (at.Epoch != l.at.Best.Epoch || at.Best.Best != l.at.Best.Best) {
		err = fmt.Errorf("%s: is of epoch %d", l.Dir.bestPath(), at.Epoch)
	}
	if err != nil && l.over() {
		return fmt.Errorf("run directory %s: the weights of epoch %d, the best, are not there (%w), and no step is left to find others",
			l.Dir.Path, l.at.Best.Epoch, err)
	}
	if err != nil {
		l.note("The weights of epoch %d, the best so far, are not there (%v): from now on the best is looked for anew.",
			l.at.Best.Epoch, err)
		l.at.Best = watch{Monitor: l.at.Best.Monitor}
	}
	return nil
}

// rateWords writes a learning rate in three digits.
func rateWords(rate float32) string {
	if rate == 0 || math.IsNaN(float64(rate)) {
		return fmt.Sprint(rate)
	}
	return fmt.Sprintf("%.3g", rate)
}
