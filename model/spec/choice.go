package spec

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// choice decodes one kind of several: `adam`, or `adam: {beta_1: 0.8}`.
func (d *decoder) choice(dst *Choice, f field, n *yaml.Node, path string, pos Pos) {
	kinds := kindsOf(f.key)
	v, ok := d.value(f, n, path)
	if !ok {
		d.missing(pos, path, "one of "+strings.Join(sortedKeys(kinds), ", "))
		return
	}
	if v.given {
		d.spec.places[path] = v.pos
	}
	var e entryNode
	switch {
	case v.node.Kind == yaml.ScalarNode && v.node.Tag != "!!null":
		e.key = v.node
		if d.layers.overridden(path) {
			_, e.value = entry(n, v.node.Value) // the file's parameters, if it has the same kind
		}
	case v.node.Kind == yaml.MappingNode && len(v.node.Content) > 0:
		e, ok = d.oneKind(v.node, path, kinds)
		if !ok {
			return
		}
	default:
		d.fail(v.pos, path, "", "got %s, want one of %s", describeEmpty(v.node), strings.Join(sortedKeys(kinds), ", "))
		return
	}
	dst.Pos = v.pos
	d.kind(dst, kinds, e, path)
}

// oneKind returns the only entry of a mapping.
func (d *decoder) oneKind(n *yaml.Node, path string, kinds map[string]Kind) (entryNode, bool) {
	if len(n.Content) == 2 {
		return entryNode{n.Content[0], n.Content[1]}, true
	}
	var names []string
	for i := 0; i < len(n.Content); i += 2 {
		names = append(names, clip(n.Content[i].Value))
	}
	hint := ""
	if _, ok := kinds[names[0]]; ok {
		hint = "indent the settings of " + names[0] + " below it"
	} else if names[0] == "kind" || names[0] == "name" || names[0] == "type" {
		hint = "write the kind as the key of its settings: " + clip(n.Content[1].Value) + ": {" + names[1] + ": ...}"
	}
	const most = 5 // names in the message
	if len(names) > most {
		names = append(names[:most], "...")
	}
	d.fail(d.pos(n), path, hint, "got %s, want exactly one kind", strings.Join(names, " and "))
	return entryNode{}, false
}

// kind decodes a kind and its parameters. The entry's value is nil if the kind
// stands alone.
func (d *decoder) kind(dst *Choice, kinds map[string]Kind, e entryNode, path string) {
	name := e.key.Value
	pos := dst.Pos
	if e.key.Line > 0 {
		pos = d.pos(e.key)
	}
	k, ok := kinds[name]
	if !ok || e.key.Kind != yaml.ScalarNode {
		d.fail(pos, path, d.kindHint(name, path, kinds), "unknown kind %q", clip(name))
		return
	}
	params := k.New()
	dst.Kind, dst.Params, dst.Pos = name, params, pos
	d.params(reflect.ValueOf(params).Elem(), e.value, join(path, name), pos)
	if c, ok := params.(interface{ complete() }); ok {
		c.complete()
	}
}

// kindHint says what is meant by an unknown kind: another one, an activation in the
// place of a layer, or a parameter without its kind.
func (d *decoder) kindHint(name, path string, kinds map[string]Kind) string {
	known := sortedKeys(kinds)
	if hint := suggestion(name, known); hint != "" {
		return hint
	}
	if _, layer := kinds["activation"]; layer {
		words := strings.Split(wordList(Activations), ",")
		if best, _ := meantExactly(name, words); best != "" {
			return fmt.Sprintf("write it as activation: %s", best)
		}
		return listHint(known)
	}
	return cmp.Or(d.layers.elsewhereHint(join(path, name)), listHint(known))
}

// params decodes the parameters of a kind: a mapping, or only the value of the
// one that is required, as in `dropout: 0.5`.
func (d *decoder) params(dst reflect.Value, n *yaml.Node, path string, pos Pos) {
	d.spec.places[path] = pos
	fs := fieldsOf(dst.Type())
	switch {
	case n == nil || n.Kind == yaml.MappingNode:
		d.section(dst, n, path, pos)
		return
	case n.Tag == "!!null" && n.Value == "":
		kind := path[strings.LastIndex(path, ".")+1:]
		d.fail(pos, path, "indent its settings below it, or write "+kind+" without the colon", "got nothing, want a mapping")
		return
	case len(fs) == 0:
		d.fail(d.pos(n), path, "", "got %s, but there is nothing to set", describe(n))
		return
	}
	f, ok := short(fs)
	if !ok {
		d.fail(d.pos(n), path, "", "got %s, want a mapping with %s", describe(n), strings.Join(keys(fs), ", "))
		return
	}
	alone := &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Column: n.Column, Content: []*yaml.Node{
		{Kind: yaml.ScalarNode, Tag: "!!str", Value: f.key, Line: n.Line, Column: n.Column}, n}}
	d.section(dst, alone, path, pos)
}

// describeEmpty is describe for a node that may be an empty mapping.
func describeEmpty(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		return "an empty mapping"
	}
	return describe(n)
}
