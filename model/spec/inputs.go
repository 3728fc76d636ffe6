package spec

import (
	"fmt"
	"slices"
)

// merges reports whether a kind of layer takes several inputs.
func merges(kind string) bool { return kind == "add" || kind == "concatenate" }

// inputs checks the inputs of the layers of one list: the model, or the block
// of a repeat.
func (d *decoder) inputs(model []Layer, block bool) {
	used := map[string]bool{}
	seen := []string{"input"}
	sound := true
	for i, l := range model {
		path := join(l.Path, "inputs")
		before := len(d.errs)
		if !d.failed(path) && l.Kind != "" {
			d.arity(l)
			d.references(l, model[i:], seen, block)
		}
		sound = sound && l.Kind != "" && len(d.errs) == before && !d.failed(path)
		for _, name := range l.Inputs {
			used[name] = true
		}
		if len(l.Inputs) == 0 {
			used[seen[len(seen)-1]] = true
		}
		seen = append(seen, l.Name)
		if r, ok := l.Params.(*Repeat); ok {
			d.inputs(r.Layers, true)
		}
	}
	for i, l := range model {
		if sound && i < len(model)-1 && !used[l.Name] {
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

// references checks that the inputs of a layer are earlier ones of its list.
// rest is the layer and those after it, seen the names before it.
func (d *decoder) references(l Layer, rest []Layer, seen []string, block bool) {
	for i, name := range l.Inputs {
		path := fmt.Sprintf("%s.inputs[%d]", l.Path, i)
		fail := func(hint, format string, args ...any) { d.report(path, hint, format, args...) }
		switch {
		case slices.Contains(seen, name):
		case name == l.Name:
			fail("", "%q is the layer itself", name)
		case hasName(rest, name):
			fail("", "layer %q comes later, want an earlier one", name)
		case block:
			fail(didYouMean(name, seen), "no layer %q before this one in the block", clip(name))
		default:
			fail(didYouMean(name, seen), "no layer %q before this one", clip(name))
		}
	}
}

func hasName(model []Layer, name string) bool {
	for _, l := range model {
		if l.Name == name {
			return true
		}
	}
	return false
}
