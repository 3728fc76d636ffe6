package spec

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A decoder fills a Spec from nodes and layers, and collects what is wrong.
type decoder struct {
	spec   *Spec
	layers *layers
	errs   Errors
	exact  map[string]bool // paths of the errors
	bad    map[string]bool // paths of the errors and all around them
	meant  map[string]bool // paths of the keys that misspelt ones probably mean
	depth  int             // of repeat
}

func newDecoder(s *Spec, l *layers, errs Errors) *decoder {
	return &decoder{spec: s, layers: l, errs: errs,
		exact: map[string]bool{}, bad: map[string]bool{}, meant: map[string]bool{}}
}

// fail reports an error about a path at a position.
func (d *decoder) fail(pos Pos, path, hint, format string, args ...any) {
	d.errs = append(d.errs, &Error{File: pos.File, Line: pos.Line, Col: pos.Col,
		Path: path, Msg: fmt.Sprintf(format, args...), Hint: hint})
	d.exact[path] = true
	for ; path != "" && !d.bad[path]; path = parent(path) {
		d.bad[path] = true
	}
}

// hint says what is meant by an unknown key of a section, until there are more errors
// than are shown: looking for near words takes long among many.
func (d *decoder) hint(word, path string, known []string) string {
	if len(d.errs) > maxShown {
		return ""
	}
	hint := suggestion(word, known)
	if hint == "" && !inKind(path) {
		hint = d.layers.elsewhereHint(join(path, word))
	}
	return cmp.Or(hint, listHint(known))
}

// inKind reports whether a path is of the model, or of the parameters of a kind.
func inKind(path string) bool {
	return strings.HasPrefix(path+"[", "model[") || slices.ContainsFunc(choices, func(c string) bool {
		return strings.HasPrefix(path, c+".")
	})
}

// report reports an error about a path where it was given, unless something is
// wrong there already.
func (d *decoder) report(path, hint, format string, args ...any) {
	if !d.failed(path) {
		d.fail(d.spec.at(path), path, hint, format, args...)
	}
}

// failed reports whether there is an error about a path, something below it or
// a section around it.
func (d *decoder) failed(path string) bool {
	if d.bad[path] {
		return true
	}
	for path != "" && !d.exact[path] {
		path = parent(path)
	}
	return path != ""
}

// pos returns the position of a node.
func (d *decoder) pos(n *yaml.Node) Pos { return Pos{d.spec.File, n.Line, n.Column} }

// document decodes the root mapping.
func (d *decoder) document(root *yaml.Node) {
	d.section(reflect.ValueOf(d.spec).Elem(), root, "", d.pos(root))
}

// An entryNode is a key of a mapping with its value.
type entryNode struct{ key, value *yaml.Node }

// entries returns the entries of a mapping by key, and reports keys that are
// given twice or that are unknown.
func (d *decoder) entries(n *yaml.Node, path string, known []string) map[string]entryNode {
	out := map[string]entryNode{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name := k.Value
		if k.Kind != yaml.ScalarNode {
			d.fail(d.pos(k), path, "", "got %s for a key, want a name", describe(k))
			continue
		}
		if first, ok := out[name]; ok {
			d.fail(d.pos(k), join(path, clip(name)), "", "given twice, first in line %d", first.key.Line)
			continue
		}
		out[name] = entryNode{k, v}
		if !slices.Contains(known, name) {
			d.fail(d.pos(k), join(path, clip(name)), d.hint(name, path, known), "unknown key")
			best, _ := meant(name, known)
			d.meant[join(path, best)] = true
		}
	}
	return out
}

// section decodes a mapping into a struct. The node may be nil, for a section
// that is not in the file: its settings have defaults, or come from flags.
func (d *decoder) section(dst reflect.Value, n *yaml.Node, path string, pos Pos) {
	fs := fieldsOf(dst.Type())
	var entries map[string]entryNode
	if n != nil {
		if n.Kind != yaml.MappingNode {
			d.fail(d.pos(n), path, "", "got %s, want a mapping with %s", describe(n), strings.Join(keys(fs), ", "))
			return
		}
		entries = d.entries(n, path, keys(fs))
	}
	for _, f := range fs {
		d.field(dst.FieldByIndex(f.index), f, entries[f.key], join(path, f.key), pos)
	}
}

// field decodes one key of a section. If the key is absent, the entry is zero;
// pos is the place of the section then.
func (d *decoder) field(dst reflect.Value, f field, e entryNode, path string, pos Pos) {
	if e.key != nil {
		pos = d.pos(e.key)
		d.spec.places[path] = pos
	}
	switch {
	case f.typ == reflect.TypeFor[Choice]():
		d.choice(dst.Addr().Interface().(*Choice), f, e.value, path, pos)
	case f.typ == reflect.TypeFor[[]Layer]():
		d.model(dst.Addr().Interface().(*[]Layer), e.value, path, pos)
	case f.typ.Kind() == reflect.Struct:
		d.section(dst, e.value, path, pos)
	default:
		v, ok := d.value(f, e.value, path)
		if !ok {
			if f.req {
				d.missing(pos, path, f.wants())
			}
			return
		}
		if v.given {
			d.spec.places[path] = v.pos
		}
		d.leaf(dst, f, v, path)
	}
}

// missing reports that a key is not there, unless it, or a section around it,
// is there but misspelt.
func (d *decoder) missing(pos Pos, path, want string) {
	for p := path; p != ""; p = parent(p) {
		if d.meant[p] {
			return
		}
	}
	d.fail(pos, path, "", "missing, want %s", want)
}

// value returns what a field is set to: by the highest layer for a setting, by
// the file or the default in a model. It reports false if nothing sets it.
func (d *decoder) value(f field, n *yaml.Node, path string) (value, bool) {
	switch {
	case d.layers.isSetting(path):
		return d.layers.get(path)
	case n != nil:
		return value{n, d.pos(n), true}, true
	case f.hasDef:
		return plainText(f.def, Pos{File: d.spec.File}, false), true
	default:
		return value{}, false
	}
}

// leaf decodes a scalar or a list of scalars.
func (d *decoder) leaf(dst reflect.Value, f field, v value, path string) {
	x, p := parseLeaf(f.typ, v.node)
	if p == nil {
		p = f.check(x)
	}
	if p != nil {
		pos := v.pos
		if p.node != nil && p.node.Line > 0 {
			pos = d.pos(p.node)
		}
		want := p.want
		if want == "" {
			want = f.wants()
		}
		d.fail(pos, path+p.at, p.hint, "got %s, want %s", p.got, want)
		return
	}
	dst.Set(x)
	for i, e := range v.node.Content {
		d.spec.places[fmt.Sprintf("%s[%d]", path, i)] = d.pos(e)
	}
}

// join appends a key to a path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
