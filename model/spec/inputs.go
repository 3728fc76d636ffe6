package spec

import "fmt"

// merges reports whether a kind of layer takes several inputs.
func merges(kind string) bool { return kind == "add" || kind == "concatenate" }

// A scope is a list of layers that may name each other as inputs: the model, or
// the block of a repeat.
type scope struct {
	names []string       // "input", then those of the layers
	index map[string]int // in names
	block bool
}

// inputs checks the inputs of the layers of one list.
func (d *decoder) inputs(model []Layer, block bool) {
	sc := scope{names: []string{"input"}, index: map[string]int{}, block: block}
	for _, l := range model {
		sc.names = append(sc.names, l.Name)
	}
	for i, name := range sc.names {
		if _, ok := sc.index[name]; !ok { // else reported by names
			sc.index[name] = i
		}
	}
	used := map[string]bool{}
	sound := true
	for i, l := range model {
		path := join(l.Path, "inputs")
		before := len(d.errs)
		if l.Kind != "" && !d.failed(path) {
			d.arity(l)
			d.references(l, i+1, sc)
		}
		sound = sound && l.Kind != "" && len(d.errs) == before && !d.failed(path)
		for _, name := range l.Inputs {
			used[name] = true
		}
		if len(l.Inputs) == 0 {
			used[sc.names[i]] = true // the previous layer
		}
		if r, ok := l.Params.(*Repeat); ok {
			d.inputs(r.Layers, true)
		}
	}
	for _, l := range model[:max(len(model)-1, 0)] {
		if sound && !used[l.Name] {
			d.report(l.Path, "name it in the inputs of a later layer, or remove it",
				"nothing takes the output of %s", l.Name)
		}
	}
}

// arity checks the number of a layer's inputs.
func (d *decoder) arity(l Layer) {
	path := join(l.Path, "inputs")
	n := len(l.Inputs)
	_, given := d.spec.places[path]
	switch {
	case merges(l.Kind) && n < 2:
		d.report(path, "", "got %d, want at least 2 for %s", n, l.Kind)
	case !merges(l.Kind) && n > 1:
		d.report(path, "join them with add or concatenate", "got %d, want 1 for %s", n, l.Kind)
	case given && n == 0:
		d.report(path, "leave it out for the previous layer", "got none, want a name")
	}
}

// references checks that the inputs of a layer are earlier ones of its scope;
// at is the layer's index there.
func (d *decoder) references(l Layer, at int, sc scope) {
	where := "before this one"
	if sc.block {
		where += " in the block"
	}
	for i, name := range l.Inputs {
		path := fmt.Sprintf("%s.inputs[%d]", l.Path, i)
		found, ok := sc.index[name]
		switch {
		case !ok:
			d.report(path, d.hint(name, "model", sc.names[:at]), "no layer %q %s", clip(name), where)
		case found == at:
			d.report(path, "", "%q is the layer itself", name)
		case found > at:
			d.report(path, "", "layer %q comes later, want an earlier one", name)
		}
	}
}
