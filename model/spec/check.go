package spec

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// check finds what is wrong between settings that are right on their own.
func (d *decoder) check() {
	s := d.spec
	if count(s.Model) > maxLayers {
		d.fail(d.spec.at("model"), "model", "", "more than %d layers with the copies of repeat", maxLayers)
	} else {
		d.names(s.Model)
		d.inputs(s.Model, false)
		d.parameters(s.Model)
	}
	d.choiceParams(s.Loss, "loss")
	d.choiceParams(s.Optimizer, "optimizer")
	d.choiceParams(s.Train.Schedule, "train.schedule")
	d.choiceParams(s.Cluster.Strategy, "cluster.strategy")
	d.otherKinds()
	d.data()
	d.metrics()
	d.train()
	d.backend()
	d.cluster()
}

// A checker is a kind's parameters that depend on each other.
type checker interface {
	// check calls fail with the key at fault and what is wrong.
	check(fail func(key, hint, format string, args ...any))
}

// parameters checks the parameters of layers.
func (d *decoder) parameters(model []Layer) {
	for _, l := range model {
		d.choiceParams(l.Choice, l.Path)
		if r, ok := l.Params.(*Repeat); ok {
			d.parameters(r.Layers)
		}
	}
}

// choiceParams checks the parameters of one choice.
func (d *decoder) choiceParams(c Choice, path string) {
	path = join(path, c.Kind)
	if x, ok := c.Params.(checker); ok && !d.failed(path) {
		x.check(func(key, hint, format string, args ...any) {
			d.report(join(path, key), hint, format, args...)
		})
	}
}

// otherKinds reports flags and variables for a kind that is not chosen.
func (d *decoder) otherKinds() {
	chosen := map[string]string{"loss": d.spec.Loss.Kind, "optimizer": d.spec.Optimizer.Kind,
		"train.schedule": d.spec.Train.Schedule.Kind, "cluster.strategy": d.spec.Cluster.Strategy.Kind}
	for _, key := range sortedKeys(d.layers.origin) {
		for choice, kind := range chosen {
			rest, ok := strings.CutPrefix(key, choice+".")
			if !ok || d.failed(choice) {
				continue
			}
			if other, _, _ := strings.Cut(rest, "."); other != kind {
				d.fail(Pos{File: d.layers.origin[key]}, key, "", "has no effect: %s is %s", choice, kind)
			}
		}
	}
}

// givenBelow returns the settings of a section that were given.
func (d *decoder) givenBelow(section string) []string {
	var out []string
	for path := range d.spec.places {
		if strings.HasPrefix(path, section+".") {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

// metrics checks the names of the metrics.
func (d *decoder) metrics() {
	known := sortedKeys(Metrics)
	for i, name := range d.spec.Metrics {
		path := fmt.Sprintf("metrics[%d]", i)
		switch {
		case !isMetric(name):
			d.report(path, didYouMean(name, known), "unknown metric %q", clip(name))
		case slices.Contains(d.spec.Metrics[:i], name):
			d.report(path, "", "%q is given twice", name)
		}
	}
}

// train checks the settings of training.
func (d *decoder) train() {
	t := &d.spec.Train
	if _, err := parseInterval(t.CheckpointEvery); err != nil {
		d.report("train.checkpoint_every", "", "%v", err)
	}
	if k := d.spec.Backend.Kind; t.Deterministic && (k == "gpu" || k == "auto") {
		d.report("train.deterministic", "set backend.kind to one of those",
			"deterministic is for cpu, ref and cluster, but backend.kind is %s", k)
	}
	stop := t.EarlyStopping
	switch {
	case d.failed("train.early_stopping"):
	case stop.Patience > 0:
		d.monitor("train.early_stopping.monitor", stop.Monitor)
	default:
		d.off("train.early_stopping.monitor", stop.Monitor != "val_loss")
		d.off("train.early_stopping.min_delta", stop.MinDelta != 0)
	}
	if p, ok := t.Schedule.Params.(*ReduceOnPlateau); ok {
		d.monitor("train.schedule.reduce_on_plateau.monitor", p.Monitor)
	}
	if strings.ContainsAny(t.Name, `/\`) || t.Name == "." || t.Name == ".." {
		d.report("train.name", "the folder is train.dir", "got %q, want a name without slashes", clip(t.Name))
	} else if strings.ContainsFunc(t.Name, unicode.IsControl) {
		d.report("train.name", "", "got %q, want a name in one line", clip(t.Name))
	}
}

// off reports a setting of early stopping that does nothing, because early
// stopping is off; but not one of a file in which a flag switches that off.
func (d *decoder) off(path string, changed bool) {
	switched := d.layers.overridden("train.early_stopping.patience") && !d.layers.overridden(path) // off, for once
	if changed && !switched {
		d.report(path, "set train.early_stopping.patience", "has no effect: patience is 0")
	}
}

// monitor checks the name of a monitored value.
func (d *decoder) monitor(path, name string) {
	if d.failed("metrics") {
		return
	}
	base, val := strings.CutPrefix(name, "val_")
	known := append([]string{"loss"}, d.spec.Metrics...)
	for _, k := range known[:len(known):len(known)] {
		known = append(known, "val_"+k)
	}
	switch {
	case !slices.Contains(known, name) && isMetric(base):
		d.report(path, "", "got %q, but metrics does not list %s", name, base)
	case !slices.Contains(known, name):
		hint := suggestion(name, known)
		if best, _ := meant(base, known); val && hint == "" && best != "" {
			hint = fmt.Sprintf("did you mean %q?", "val_"+best)
		}
		d.report(path, hint, "got %q, want one of %s", clip(name), strings.Join(known, ", "))
	case val && d.spec.Data.ValidationSplit == 0 && !d.failed("data.validation_split"):
		d.report(path, "set data.validation_split, or monitor "+base,
			"got %q, but no rows are set aside for validation", name)
	}
}

// backend checks that no setting of the backend is ignored.
func (d *decoder) backend() {
	b := &d.spec.Backend
	switch b.Kind {
	case "cpu", "ref":
		const hint = "set backend.kind to gpu or auto, or leave it out"
		if b.Device != 0 {
			d.report("backend.device", hint, "has no effect: kind is %s, not gpu", b.Kind)
		}
		switch {
		case b.Kind == "cpu" && b.Precision == "tf32":
			d.report("backend.precision", hint, "got tf32, but kind cpu computes in fp32 or bf16")
		case b.Kind == "ref" && b.Precision != "fp32":
			d.report("backend.precision", hint, "got %s, but kind ref computes in fp32", b.Precision)
		}
	case "gpu":
		if b.Threads != 0 {
			d.report("backend.threads", "leave it out", "has no effect: kind is gpu, not cpu")
		}
	case "cluster":
		if b.Device != 0 {
			d.report("backend.device", "gespann worker --device chooses a card", "has no effect: kind is cluster, not gpu")
		}
		if b.Threads != 0 && d.spec.Cluster.Coordinator != "" {
			d.report("backend.threads", "gespann worker --threads sets them", "has no effect: the workers of a coordinator have their own")
		}
	}
}
