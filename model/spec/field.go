package spec

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// A field is one key of a section, read from the tags of a struct field.
type field struct {
	key, doc string
	def      string // text of the default
	hasDef   bool
	req      bool
	bounds   []bound
	enum     []string
	shared   string // name of an enum that several fields share, such as "@activation"
	index    []int  // for reflect.Value.FieldByIndex
	typ      reflect.Type
}

// A bound limits a number: value op limit.
type bound struct {
	op    string // ≥, ≤, > or <
	limit float64
	text  string // of the limit, as in the tag
}

// ok reports whether a value is within the bound.
func (b bound) ok(x float64) bool {
	switch b.op {
	case "≥":
		return x >= b.limit
	case "≤":
		return x <= b.limit
	case ">":
		return x > b.limit
	default:
		return x < b.limit
	}
}

func (b bound) String() string { return b.op + " " + b.text }

// fieldsOf returns the keys of a struct in order. Those of inlined structs
// stand where the struct is.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		key, opts, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		switch {
		case opts == "inline":
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				out = append(out, f)
			}
		case key != "" && key != "-":
			out = append(out, newField(key, i, t, sf))
		}
	}
	return out
}

func newField(key string, i int, t reflect.Type, sf reflect.StructField) field {
	f := field{key: key, doc: docs[t.Name()+"."+sf.Name], index: []int{i}, typ: sf.Type}
	f.def, f.hasDef = sf.Tag.Lookup("default")
	f.req = sf.Tag.Get("req") == "true"
	for _, b := range []struct{ tag, op string }{{"min", "≥"}, {"gt", ">"}, {"max", "≤"}, {"lt", "<"}} {
		if text, ok := sf.Tag.Lookup(b.tag); ok {
			limit, err := strconv.ParseFloat(text, 64)
			if err != nil {
				panic(fmt.Sprintf("spec: invariant: tag %s of %s: %v", b.tag, key, err))
			}
			f.bounds = append(f.bounds, bound{b.op, limit, text})
		}
	}
	if list := sf.Tag.Get("enum"); list != "" {
		if strings.HasPrefix(list, "@") {
			f.shared, list = list, enums[list]
		}
		f.enum = strings.Split(list, ",")
	}
	return f
}

// keys returns the names of the fields.
func keys(fs []field) []string {
	out := make([]string, len(fs))
	for i, f := range fs {
		out[i] = f.key
	}
	return out
}

// short returns the field whose value may stand for the whole section, as in
// `dropout: 0.5`: the only required one.
func short(fs []field) (field, bool) {
	var found []field
	for _, f := range fs {
		if f.req {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		return field{}, false
	}
	return found[0], true
}

// kindsOf returns the kinds of the choice under a key.
func kindsOf(key string) map[string]Kind {
	switch key {
	case "loss":
		return Losses
	case "optimizer":
		return Optimizers
	case "schedule":
		return Schedules
	case "strategy":
		return Strategies
	default:
		panic("spec: invariant: no kinds for " + key)
	}
}

// paramsOf returns the keys of a kind's parameters.
func paramsOf(k Kind) []field { return fieldsOf(reflect.TypeOf(k.New()).Elem()) }

// wants says in words what a field takes: "a whole number ≥ 1".
func (f field) wants() string {
	if f.enum != nil {
		return "one of " + strings.Join(f.enum, ", ")
	}
	text, sep := typeWords(f.typ), " "
	if f.typ == reflect.TypeFor[Pair]() {
		sep = ", "
	}
	for _, b := range f.bounds {
		if b.limit < math.MaxInt32 { // else it is beyond what anyone wants
			text += sep + b.String()
			sep = " and "
		}
	}
	return text
}

// typeWords names a type of field.
func typeWords(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Pair]():
		return "a whole number or a list of two"
	case reflect.TypeFor[Choice]():
		return "a kind"
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Uint64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Pointer:
		return typeWords(t.Elem())
	case reflect.Slice:
		switch t.Elem().Kind() {
		case reflect.String:
			return "a list of names"
		case reflect.Int:
			return "a list of whole numbers"
		default:
			return "a list of layers"
		}
	case reflect.Struct:
		return "a section"
	default:
		panic("spec: invariant: no field may be a " + t.String())
	}
}
