package spec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxRepeat bounds how deep repeat blocks nest.
const maxRepeat = 8

// model decodes a list of layers.
func (d *decoder) model(dst *[]Layer, n *yaml.Node, path string, pos Pos) {
	switch {
	case n == nil:
		d.missing(pos, path, "a list of layers")
		return
	case n.Kind != yaml.SequenceNode:
		d.fail(d.pos(n), path, "", "got %s, want a list of layers", describe(n))
		return
	case len(n.Content) == 0:
		d.fail(d.pos(n), path, "", "empty, want at least one layer")
		return
	case d.depth > maxRepeat:
		d.fail(d.pos(n), path, "", "repeat nested deeper than %d levels", maxRepeat)
		return
	}
	d.depth++
	for i, c := range n.Content {
		*dst = append(*dst, d.layer(c, fmt.Sprintf("%s[%d]", path, i)))
	}
	d.depth--
}

// layer decodes one layer: a kind, or a mapping of the kind to its parameters
// with name and inputs beside it.
func (d *decoder) layer(n *yaml.Node, path string) Layer {
	l := Layer{Choice: Choice{Pos: d.pos(n)}, Path: path}
	d.spec.places[path] = l.Pos
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		d.kind(&l.Choice, Layers, entryNode{key: n}, path)
		return l
	}
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		d.fail(l.Pos, path, "", "got %s, want a layer such as dense: {units: 10}", describeEmpty(n))
		return l
	}
	beside := fieldsOf(reflect.TypeFor[Layer]())
	kind := layerKind(n, keys(beside))
	if kind.key == nil {
		d.fail(l.Pos, path, "", "got no kind, want a layer such as dense: {units: 10}")
	}
	known := keys(beside)
	if kind.key != nil {
		known = append(known, kind.key.Value)
	}
	before := len(d.errs)
	entries := d.entries(n, path, known)
	d.hintIndent(d.errs[before:], kind, path)
	if kind.key != nil {
		d.kind(&l.Choice, Layers, kind, path)
	}
	dst := reflect.ValueOf(&l).Elem()
	for _, f := range beside {
		if e, ok := entries[f.key]; ok {
			d.field(dst.FieldByIndex(f.index), f, e, join(path, f.key), l.Pos)
		}
	}
	d.checkName(l)
	return l
}

// layerKind returns the entry of a layer's mapping that is its kind: the first
// known one, or else the first that is not another key of a layer, which is
// probably misspelt.
func layerKind(n *yaml.Node, beside []string) entryNode {
	var guess entryNode
	for i := 0; i+1 < len(n.Content); i += 2 {
		e := entryNode{n.Content[i], n.Content[i+1]}
		if _, ok := Layers[e.key.Value]; ok && e.key.Kind == yaml.ScalarNode {
			return e
		}
		if guess.key == nil && e.key.Kind == yaml.ScalarNode && !slices.Contains(beside, e.key.Value) {
			guess = e
		}
	}
	return guess
}

// hintIndent improves the hints of unknown keys beside a layer's kind that are
// parameters of the kind, but indented like the kind itself.
func (d *decoder) hintIndent(errs Errors, kind entryNode, path string) {
	if kind.key == nil || len(errs) == 0 {
		return
	}
	k, ok := Layers[kind.key.Value]
	if !ok {
		return
	}
	params := keys(paramsOf(k))
	for _, e := range errs {
		name := strings.TrimPrefix(e.Path, path+".")
		_, isKind := Layers[name]
		switch {
		case e.Msg != "unknown key":
		case slices.Contains(params, name):
			e.Hint = fmt.Sprintf("it belongs to %s: indent it further", kind.key.Value)
		case isKind:
			e.Hint = "start each layer with a dash"
		}
	}
}

// checkName reports a name that could not be used in messages, in names of
// variables and in inputs.
func (d *decoder) checkName(l Layer) {
	path := join(l.Path, "name")
	bad := strings.IndexFunc(l.Name, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	switch {
	case l.Name == "input":
		d.fail(d.spec.at(path), path, "", `"input" stands for the data, want another name`)
	case bad >= 0:
		d.fail(d.spec.at(path), path, "", "got %q, want letters, digits, _ and -", clip(l.Name))
	}
}
