package spec

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A problem is why a node is not the value of a field.
type problem struct {
	at   string     // "[2]" for an element of a list
	node *yaml.Node // the element at fault, or nil
	got  string
	want string // if not field.wants
	hint string
}

// parseLeaf returns a node as a value of the type of a field.
func parseLeaf(t reflect.Type, n *yaml.Node) (reflect.Value, *problem) {
	x := reflect.New(t).Elem()
	if t == reflect.TypeFor[Pair]() {
		p, prob := parsePair(n)
		x.Set(reflect.ValueOf(p))
		return x, prob
	}
	if t.Kind() == reflect.Slice {
		return parseList(t, n)
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return x, &problem{got: describe(n)}
	}
	var prob *problem
	switch t.Kind() {
	case reflect.Pointer:
		elem, prob := parseLeaf(t.Elem(), n)
		x.Set(reflect.New(t.Elem()))
		x.Elem().Set(elem)
		return x, prob
	case reflect.String:
		if n.Tag == "!!bool" {
			return x, &problem{got: n.Value, hint: fmt.Sprintf("for the text, write %q", n.Value)}
		}
		x.SetString(n.Value)
	case reflect.Bool:
		var b bool
		b, prob = parseBool(n)
		x.SetBool(b)
	case reflect.Int:
		var i int64
		i, prob = parseInt(n)
		x.SetInt(i)
	case reflect.Uint64:
		var u uint64
		u, prob = parseUint(n)
		x.SetUint(u)
	case reflect.Float64:
		var f float64
		f, prob = parseFloat(n)
		x.SetFloat(f)
	default:
		panic("spec: invariant: no field may be a " + t.String())
	}
	return x, prob
}

// parseBool reads true or false, in the spellings that YAML has for them.
func parseBool(n *yaml.Node) (bool, *problem) {
	prob := &problem{got: describe(n)}
	if n.Tag != "" && n.Tag != "!!bool" {
		switch strings.ToLower(n.Value) {
		case "yes", "on", "y", "true":
			prob.hint = "write true"
		case "no", "off", "n", "false":
			prob.hint = "write false"
		}
		return false, prob
	}
	switch strings.ToLower(n.Value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, prob
}

// isNumber reports whether a node may be a number: a quoted one is text.
func isNumber(n *yaml.Node) bool {
	return n.Tag != "!!bool" && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|
		yaml.LiteralStyle|yaml.FoldedStyle) == 0
}

// notNumber is the problem of a node that is no number.
func notNumber(n *yaml.Node) *problem {
	p := &problem{got: describe(n)}
	if _, err := strconv.ParseFloat(n.Value, 64); err == nil {
		p.hint = "write it without quotes"
	}
	return p
}

// parseInt reads a whole number in decimal.
func parseInt(n *yaml.Node) (int64, *problem) {
	if !isNumber(n) {
		return 0, notNumber(n)
	}
	i, err := strconv.ParseInt(n.Value, 10, strconv.IntSize)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, &problem{got: clip(n.Value), want: fmt.Sprintf("a whole number from %d to %d", math.MinInt, math.MaxInt)}
	case err != nil || leadingZero(n.Value):
		return 0, notDecimal(n)
	}
	return i, nil
}

// parseUint reads a whole number in decimal that is not negative.
func parseUint(n *yaml.Node) (uint64, *problem) {
	if !isNumber(n) {
		return 0, notNumber(n)
	}
	u, err := strconv.ParseUint(strings.TrimPrefix(n.Value, "+"), 10, 64)
	_, signed := strings.CutPrefix(n.Value, "-")
	switch {
	case errors.Is(err, strconv.ErrRange) || signed:
		return 0, &problem{got: clip(n.Value), want: fmt.Sprintf("a whole number from 0 to %d", uint64(math.MaxUint64))}
	case err != nil || leadingZero(n.Value):
		return 0, notDecimal(n)
	}
	return u, nil
}

// leadingZero reports whether a number starts with a zero that YAML 1.1 takes
// for octal and YAML 1.2 does not.
func leadingZero(text string) bool {
	digits := strings.TrimLeft(text, "+-")
	return len(digits) > 1 && digits[0] == '0'
}

// notDecimal is the problem of a node that is no whole number in decimal.
func notDecimal(n *yaml.Node) *problem {
	p := &problem{got: describe(n)}
	f, err := strconv.ParseFloat(n.Value, 64) // as in 1e3, or 010
	if i, errInt := strconv.ParseInt(n.Value, 0, 64); errInt == nil && err != nil {
		p.hint = fmt.Sprintf("write it in decimal: %d", i) // as in 0x10, or 1_000
	} else if err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		p.hint = fmt.Sprintf("write %.0f", f)
	}
	return p
}

// parseFloat reads a number that float32 can hold, in which models compute.
func parseFloat(n *yaml.Node) (float64, *problem) {
	const smallest = 0x1p-126 // normal float32
	if !isNumber(n) {
		return 0, notNumber(n)
	}
	f, err := strconv.ParseFloat(n.Value, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), math.Abs(f) > math.MaxFloat32 && !math.IsInf(f, 0):
		return 0, &problem{got: clip(n.Value), want: "a number of at most 3.4e38"}
	case math.IsInf(f, 0), math.IsNaN(f), n.Tag == "!!float" && err != nil: // .inf and .nan
		return 0, &problem{got: clip(n.Value), want: "a finite number"}
	case err != nil:
		return 0, &problem{got: describe(n)}
	case strings.ContainsAny(n.Value, "xX_"):
		return 0, &problem{got: clip(n.Value), hint: fmt.Sprintf("write it in decimal: %v", f)}
	case f != 0 && math.Abs(f) < smallest:
		return 0, &problem{got: clip(n.Value), want: "0, or a number of at least 1.2e-38"}
	}
	return f, nil
}

// parsePair reads one number, or a list of two.
func parsePair(n *yaml.Node) (Pair, *problem) {
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		i, prob := parseInt(n)
		return Pair{int(i), int(i)}, prob
	}
	if n.Kind != yaml.SequenceNode {
		return Pair{}, &problem{got: describe(n)}
	}
	if len(n.Content) != 2 {
		return Pair{}, &problem{got: fmt.Sprintf("a list of %d", len(n.Content))}
	}
	list, prob := parseList(reflect.TypeFor[[]int](), n)
	if prob != nil {
		return Pair{}, prob
	}
	x := list.Interface().([]int)
	return Pair{x[0], x[1]}, nil
}

// parseList reads a list of scalars. In a flag or variable, commas separate its
// elements.
func parseList(t reflect.Type, n *yaml.Node) (reflect.Value, *problem) {
	elems := n.Content
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag == "" && strings.TrimSpace(n.Value) == "":
		// "--set metrics=" takes all away
	case n.Kind == yaml.ScalarNode && n.Tag == "":
		texts, ok := flowList(n.Value)
		if !ok {
			texts = strings.Split(n.Value, ",")
		}
		for _, text := range texts {
			elems = append(elems, &yaml.Node{Kind: yaml.ScalarNode, Value: strings.TrimSpace(text)})
		}
	case n.Kind != yaml.SequenceNode:
		p := &problem{got: describe(n)}
		if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
			p.hint = fmt.Sprintf("write [%s]", clip(n.Value))
		}
		return reflect.Value{}, p
	}
	out := reflect.Zero(t) // an empty list is as good as none
	for i, e := range elems {
		x, prob := parseLeaf(t.Elem(), e)
		if prob != nil {
			prob.at, prob.node = fmt.Sprintf("[%d]", i), e
			if prob.want == "" {
				prob.want = typeWords(t.Elem())
			}
			return reflect.Value{}, prob
		}
		out = reflect.Append(out, x)
	}
	return out, nil
}

// flowList returns the elements of a list that a flag or variable gives as YAML does:
// [a, "b, c"].
func flowList(text string) (elems []string, ok bool) {
	var doc yaml.Node
	if !strings.HasPrefix(strings.TrimSpace(text), "[") || yaml.Unmarshal([]byte("list: "+text), &doc) != nil {
		return nil, false
	}
	list := find(doc.Content[0], []string{"list"})
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, false
	}
	for _, e := range list.Content {
		if e.Kind != yaml.ScalarNode {
			return nil, false
		}
		elems = append(elems, e.Value)
	}
	return elems, true
}

// check compares a value with the bounds and the enum of its field.
func (f field) check(x reflect.Value) *problem {
	if x.Kind() == reflect.Pointer {
		x = x.Elem()
	}
	switch v := x.Interface().(type) {
	case string:
		if f.enum != nil && !slices.Contains(f.enum, v) {
			return &problem{got: strconv.Quote(clip(v)), hint: suggestion(v, f.enum)}
		}
	case int:
		return f.inBounds(float64(v), strconv.Itoa(v))
	case Pair:
		for _, i := range v {
			if p := f.inBounds(float64(i), strconv.Itoa(i)); p != nil {
				return p
			}
		}
	case float64:
		// In float32, in which it will be used, 0.99999999 is 1.
		return f.inBounds(float64(float32(v)), strconv.FormatFloat(v, 'g', -1, 64))
	}
	return nil
}

// inBounds compares a number with the bounds of its field.
func (f field) inBounds(x float64, text string) *problem {
	for _, b := range f.bounds {
		if !b.ok(x) {
			return &problem{got: text, want: b.String()}
		}
	}
	return nil
}
