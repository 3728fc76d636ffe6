package spec

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Marshal returns the spec as YAML with every setting spelled out, defaults
// and names of layers included. Parse reads it back as an equal Spec, except
// for positions.
func (s *Spec) Marshal() ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(sectionNode(reflect.ValueOf(s).Elem(), s.skip)); err != nil {
		return nil, fmt.Errorf("spec: marshal: %w", err)
	}
	if err := e.Close(); err != nil {
		return nil, fmt.Errorf("spec: marshal: %w", err)
	}
	return b.Bytes(), nil
}

// skip reports whether a key is left out, because it has no effect and Parse
// would refuse it.
func (s *Spec) skip(key string) bool {
	return key == "csv" && s.Data.Source != "csv" || key == "npy" && s.Data.Source != "npy"
}

// sectionNode returns a struct as a mapping of its fields.
func sectionNode(x reflect.Value, skip func(key string) bool) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fieldsOf(x.Type()) {
		v := x.FieldByIndex(f.index)
		// The zero value of a field without default means that it is not set;
		// a number that is required is never left out.
		unset := !f.hasDef && !f.req && (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0)
		if unset && v.Kind() != reflect.Struct || skip(f.key) {
			continue
		}
		n.Content = append(n.Content, textNode(f.key), valueNode(v, skip))
	}
	return n
}

// valueNode returns the value of a field.
func valueNode(v reflect.Value, skip func(key string) bool) *yaml.Node {
	switch x := v.Interface().(type) {
	case Choice:
		return choiceNode(x)
	case []Layer:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, l := range x {
			n.Content = append(n.Content, layerNode(l))
		}
		return n
	case string:
		return textNode(x)
	case float64:
		return plainNode(strconv.FormatFloat(x, 'g', -1, 64))
	}
	switch v.Kind() {
	case reflect.Struct:
		return sectionNode(v, skip)
	case reflect.Pointer:
		return valueNode(v.Elem(), skip)
	case reflect.Slice, reflect.Array:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for i := range v.Len() {
			n.Content = append(n.Content, valueNode(v.Index(i), skip))
		}
		return n
	default:
		return plainNode(fmt.Sprint(v.Interface()))
	}
}

// choiceNode returns a kind alone, or as the key of its parameters.
func choiceNode(c Choice) *yaml.Node {
	params := paramsNode(c)
	if len(params.Content) == 0 {
		return textNode(c.Kind)
	}
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{textNode(c.Kind), params}}
}

// layerNode returns a layer: its kind, name and inputs.
func layerNode(l Layer) *yaml.Node {
	n := sectionNode(reflect.ValueOf(l), func(string) bool { return false })
	n.Content = append([]*yaml.Node{textNode(l.Kind), paramsNode(l.Choice)}, n.Content...)
	return n
}

// paramsNode returns the parameters of a kind, in one line except for a block
// of layers.
func paramsNode(c Choice) *yaml.Node {
	n := sectionNode(reflect.ValueOf(c.Params).Elem(), func(string) bool { return false })
	if _, ok := c.Params.(*Repeat); !ok {
		n.Style = yaml.FlowStyle
	}
	return n
}

// textNode returns a string, which the encoder quotes where it must.
func textNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

// plainNode returns a number or a truth value.
func plainNode(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }
