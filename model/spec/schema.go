package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
)

// Schema returns the JSON Schema (draft 2020-12) of a spec, for editors that
// complete and check YAML. Parse is stricter where settings depend on each
// other, and takes settings that are missing from flags and the environment.
func Schema() ([]byte, error) {
	root := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", "Gespann"},
		{"description", "What to train, on what, and how."},
	}
	root = append(root, sectionSchema(fieldsOf(reflect.TypeFor[Spec]()))...)
	root = append(root, member{"$defs", object{{"layer", layerSchema()}}})
	text, err := marshalJSON(root)
	if err != nil {
		return nil, fmt.Errorf("spec: schema: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return nil, fmt.Errorf("spec: schema: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// sectionSchema describes a mapping.
func sectionSchema(fs []field) object {
	props, required := object{}, []string{}
	for _, f := range fs {
		props = append(props, member{f.key, fieldSchema(f)})
		if f.req {
			required = append(required, f.key)
		}
	}
	o := object{{"type", "object"}, {"properties", props}}
	if len(required) > 0 {
		o = append(o, member{"required", required})
	}
	return append(o, member{"additionalProperties", false})
}

// fieldSchema describes the value of a key.
func fieldSchema(f field) object {
	o := object{{"title", f.key}, {"description", f.doc}}
	o = append(o, typeSchema(f)...)
	if f.hasDef {
		o = append(o, member{"default", defaultOf(f)})
	}
	return o
}

// typeSchema describes the values of a field's type.
func typeSchema(f field) object {
	switch f.typ {
	case reflect.TypeFor[Pair]():
		one := append(object{{"type", "integer"}}, limits(f)...)
		two := object{{"type", "array"}, {"items", one}, {"minItems", 2}, {"maxItems", 2}}
		return object{{"oneOf", []object{one, two}}}
	case reflect.TypeFor[Choice]():
		return choiceSchema(kindsOf(f.key))
	case reflect.TypeFor[[]Layer]():
		return object{{"type", "array"}, {"items", object{{"$ref", "#/$defs/layer"}}}, {"minItems", 1}}
	}
	switch f.typ.Kind() {
	case reflect.String:
		if f.enum != nil {
			return object{{"type", "string"}, {"enum", f.enum}}
		}
		return object{{"type", []string{"string", "number"}}} // `label: 0` is a name, too
	case reflect.Bool:
		return object{{"type", "boolean"}}
	case reflect.Int:
		return append(object{{"type", "integer"}}, limits(f)...)
	case reflect.Uint64:
		return object{{"type", "integer"}, {"minimum", 0}}
	case reflect.Float64:
		return append(object{{"type", "number"}}, limits(f)...)
	case reflect.Pointer:
		f.typ = f.typ.Elem()
		return typeSchema(f)
	case reflect.Slice:
		f.typ = f.typ.Elem()
		return object{{"type", "array"}, {"items", elemSchema(f)}}
	default:
		return sectionSchema(fieldsOf(f.typ))
	}
}

// elemSchema describes the elements of a list.
func elemSchema(f field) object {
	if f.key == "metrics" {
		return object{{"anyOf", []any{
			object{{"enum", sortedKeys(Metrics)}},
			object{{"pattern", "^top_[1-9][0-9]*_accuracy$"}},
		}}}
	}
	return typeSchema(f)
}

// limits describes the bounds of a number.
func limits(f field) object {
	words := map[string]string{"≥": "minimum", "≤": "maximum", ">": "exclusiveMinimum", "<": "exclusiveMaximum"}
	var o object
	for _, b := range f.bounds {
		o = append(o, member{words[b.op], json.Number(b.text)})
	}
	return o
}

// defaultOf returns the default of a field as a JSON value.
func defaultOf(f field) any {
	if f.typ.Kind() == reflect.String || f.typ == reflect.TypeFor[Choice]() {
		return f.def
	}
	if b, err := strconv.ParseBool(f.def); err == nil && f.typ.Kind() == reflect.Bool {
		return b
	}
	return json.Number(f.def)
}

// choiceSchema describes one kind of several: alone, or as a key.
func choiceSchema(kinds map[string]Kind) object {
	var alone []string
	var all []object
	for _, name := range sortedKeys(kinds) {
		if canStandAlone(kinds[name]) {
			alone = append(alone, name)
		}
		all = append(all, object{
			{"title", name}, {"description", kinds[name].Doc}, {"type", "object"},
			{"properties", object{{name, paramsSchema(kinds[name])}}},
			{"required", []string{name}}, {"additionalProperties", false}})
	}
	return object{{"oneOf", append([]object{{{"enum", alone}}}, all...)}}
}

// layerSchema describes a layer: a kind alone, or as a key beside name and
// inputs.
func layerSchema() object {
	o := choiceSchema(Layers)
	all := o[0].value.([]object)
	for i := 1; i < len(all); i++ {
		for j, m := range all[i] {
			if m.key != "properties" {
				continue
			}
			props := m.value.(object)
			for _, f := range fieldsOf(reflect.TypeFor[Layer]()) {
				props = append(props, member{f.key, fieldSchema(f)})
			}
			all[i][j].value = props
		}
	}
	return o
}

// canStandAlone reports whether a kind needs no parameters.
func canStandAlone(k Kind) bool {
	return !slices.ContainsFunc(paramsOf(k), func(f field) bool { return f.req })
}

// paramsSchema describes the parameters of a kind: a mapping or, as in
// `dropout: 0.5`, the value of the only required one.
func paramsSchema(k Kind) object {
	fs := paramsOf(k)
	section := sectionSchema(fs)
	f, ok := short(fs)
	if !ok {
		return section
	}
	return object{{"anyOf", []object{section, fieldSchema(f)}}}
}
