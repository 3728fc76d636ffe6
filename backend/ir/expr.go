package ir

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// An Expr is an elementwise formula of the inputs x0, x1, ... of a Map, as text: a
// call, or several with a semicolon between them, each of which may use the results t0,
// t1, ... of those before it. The last one is the result.
//
//	sigmoid(x0);mul(x0,t0)
//
// Arguments are inputs, results and numbers. Texts of equal formulas are mostly equal:
// Formula.Expr writes them, without a call twice. Parse also reads calls of calls, such
// as mul(x0,sigmoid(x0)).
type Expr string

// A Fn is a function of one to three numbers.
type Fn uint8

// The functions of expressions. Comparisons are 1 or 0, and 0 where a side is NaN.
const (
	FnAdd     Fn = iota // a + b
	FnSub               // a − b
	FnMul               // a·b
	FnDiv               // a/b
	FnMax               // the larger; NaN if a or b is
	FnMin               // the smaller; NaN if a or b is
	FnGT                // a > b
	FnGE                // a ≥ b
	FnEQ                // a = b
	FnSelect            // b where a is not 0, else c
	FnNeg               // −a
	FnAbs               // |a|
	FnSqrt              // √a
	FnExp               // eᵃ
	FnLog               // log a, to base e
	FnTanh              // tanh a
	FnSigmoid           // 1/(1+e⁻ᵃ)
	FnErf               // erf a

	// NumFns is the number of functions.
	NumFns = int(iota)
)

// An fnRow says all that is known of a function. A new one is a row here, and a loop in
// each backend.
type fnRow struct {
	name  string
	arity int
	eval  func(a, b, c float64) float64
	// grad has, for each argument, the derivative of a result with respect to it: a
	// formula of the arguments and, as the input behind them, that with respect to the
	// value. "" is 0.
	grad []Expr
}

var fns = [NumFns]fnRow{
	FnAdd: {"add", 2, func(a, b, _ float64) float64 { return a + b }, []Expr{"x2", "x2"}},
	FnSub: {"sub", 2, func(a, b, _ float64) float64 { return a - b }, []Expr{"x2", "neg(x2)"}},
	FnMul: {"mul", 2, func(a, b, _ float64) float64 { return a * b }, []Expr{"mul(x1,x2)", "mul(x0,x2)"}},
	FnDiv: {"div", 2, func(a, b, _ float64) float64 { return a / b },
		[]Expr{"div(x2,x1)", "neg(mul(div(x0,x1),div(x2,x1)))"}},
	FnMax: {"max", 2, func(a, b, _ float64) float64 { return max(a, b) },
		[]Expr{"select(ge(x0,x1),x2,0)", "select(ge(x0,x1),0,x2)"}},
	FnMin: {"min", 2, func(a, b, _ float64) float64 { return min(a, b) },
		[]Expr{"select(ge(x1,x0),x2,0)", "select(ge(x1,x0),0,x2)"}},
	FnGT:     {"gt", 2, func(a, b, _ float64) float64 { return truth(a > b) }, []Expr{"", ""}},
	FnGE:     {"ge", 2, func(a, b, _ float64) float64 { return truth(a >= b) }, []Expr{"", ""}},
	FnEQ:     {"eq", 2, func(a, b, _ float64) float64 { return truth(a == b) }, []Expr{"", ""}},
	FnSelect: {"select", 3, choose, []Expr{"", "select(x0,x3,0)", "select(x0,0,x3)"}},
	FnNeg:    {"neg", 1, func(a, _, _ float64) float64 { return -a }, []Expr{"neg(x1)"}},
	FnAbs: {"abs", 1, func(a, _, _ float64) float64 { return math.Abs(a) },
		[]Expr{"mul(sub(gt(x0,0),gt(0,x0)),x1)"}},
	FnSqrt: {"sqrt", 1, func(a, _, _ float64) float64 { return math.Sqrt(a) }, []Expr{"div(mul(0.5,x1),sqrt(x0))"}},
	FnExp:  {"exp", 1, func(a, _, _ float64) float64 { return math.Exp(a) }, []Expr{"mul(exp(x0),x1)"}},
	FnLog:  {"log", 1, func(a, _, _ float64) float64 { return math.Log(a) }, []Expr{"div(x1,x0)"}},
	FnTanh: {"tanh", 1, func(a, _, _ float64) float64 { return math.Tanh(a) },
		[]Expr{"mul(mul(sub(1,tanh(x0)),add(1,tanh(x0))),x1)"}},
	FnSigmoid: {"sigmoid", 1, func(a, _, _ float64) float64 { return 1 / (1 + math.Exp(-a)) },
		[]Expr{"mul(mul(sigmoid(x0),sub(1,sigmoid(x0))),x1)"}},
	// 2/√π·e^−a²
	FnErf: {"erf", 1, func(a, _, _ float64) float64 { return math.Erf(a) },
		[]Expr{"mul(mul(1.1283791670955126,exp(neg(mul(x0,x0)))),x1)"}},
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func choose(a, b, c float64) float64 {
	if a != 0 { // a NaN, too
		return b
	}
	return c
}

// String returns the name of the function, such as "sigmoid".
func (f Fn) String() string {
	if int(f) < NumFns {
		return fns[f].name
	}
	return "fn" + strconv.Itoa(int(f))
}

// Arity returns the number of arguments.
func (f Fn) Arity() int { return fns[f].arity }

// Eval returns the value for arguments; those that the function does not have are not
// looked at.
func (f Fn) Eval(a, b, c float64) float64 { return fns[f].eval(a, b, c) }

// An Operand is an argument of a call: an input, the result of an earlier call, or a
// number.
type Operand struct {
	Kind  OperandKind
	Index int // of the input or the call
	Value float64
}

// An OperandKind says what an operand is.
type OperandKind uint8

// The kinds of operands.
const (
	OfInput OperandKind = iota
	OfCall
	OfNumber
)

// Number returns an operand that is a number.
func Number(v float64) Operand { return Operand{Kind: OfNumber, Value: v} }

// InputOf returns an operand that is input i.
func InputOf(i int) Operand { return Operand{Kind: OfInput, Index: i} }

// A Call is one step of a formula.
type Call struct {
	Fn   Fn
	Args [3]Operand // the first Arity of them
}

// A Formula is an expression as calls, each after those that it uses. Result is one of
// them, or where there is nothing to compute an input or a number.
type Formula struct {
	Calls  []Call
	Result Operand
	known  map[Call]int // where calls are
}

// Bounds of what an expression may have.
const (
	// MaxInputs is the most inputs of a Map.
	MaxInputs = 16
	maxCalls  = 4096
	maxNested = 64 // calls of calls, in text
)

// Call adds a call, unless there is one like it or it is simpler, and returns its
// result.
func (f *Formula) Call(fn Fn, args ...Operand) Operand {
	if v, ok := simpler(fn, args); ok {
		return v
	}
	c := Call{Fn: fn}
	copy(c.Args[:], args)
	i, ok := f.known[c]
	if !ok {
		if f.known == nil {
			f.known = map[Call]int{}
		}
		i = len(f.Calls)
		f.Calls, f.known[c] = append(f.Calls, c), i
	}
	return Operand{Kind: OfCall, Index: i}
}

// simpler returns what a call is without computing, for every value of its arguments,
// where that is known. (0·x is not 0 where x is infinite, but gradients of what is not
// used are; so products of 0 are left to those who add them up.)
func simpler(fn Fn, args []Operand) (Operand, bool) {
	is := func(i int, v float64) bool { return args[i].Kind == OfNumber && args[i].Value == v }
	switch {
	case fn == FnMul && is(0, 1):
		return args[1], true
	case (fn == FnMul || fn == FnDiv) && is(1, 1):
		return args[0], true
	}
	for _, a := range args {
		if a.Kind != OfNumber {
			return Operand{}, false
		}
	}
	var v [3]float64
	for i, a := range args {
		v[i] = a.Value
	}
	out := fn.Eval(v[0], v[1], v[2])
	return Number(out), isFinite(out)
}

// Inputs returns which inputs are used.
func (f *Formula) Inputs() (used [MaxInputs]bool) {
	note := func(o Operand) {
		if o.Kind == OfInput {
			used[o.Index] = true
		}
	}
	note(f.Result)
	for _, c := range f.Calls {
		for _, a := range c.Args[:c.Fn.Arity()] {
			note(a)
		}
	}
	return used
}

// Expr returns the formula as text, without calls that nothing uses.
func (f *Formula) Expr() Expr {
	used := make([]bool, len(f.Calls))
	if f.Result.Kind == OfCall {
		used[f.Result.Index] = true
	}
	for i := len(f.Calls) - 1; i >= 0; i-- {
		for _, a := range f.Calls[i].Args[:f.Calls[i].Fn.Arity()] {
			if used[i] && a.Kind == OfCall {
				used[a.Index] = true
			}
		}
	}
	at, n := make([]int, len(f.Calls)), 0
	var b strings.Builder
	operand := func(o Operand) string {
		switch o.Kind {
		case OfInput:
			return "x" + strconv.Itoa(o.Index)
		case OfCall:
			return "t" + strconv.Itoa(at[o.Index])
		}
		return strconv.FormatFloat(o.Value, 'g', -1, 64)
	}
	for i, c := range f.Calls {
		if !used[i] {
			continue
		}
		at[i] = n
		if n++; n > 1 {
			b.WriteByte(';')
		}
		b.WriteString(c.Fn.String())
		for k, a := range c.Args[:c.Fn.Arity()] {
			b.WriteByte("(,,"[k])
			b.WriteString(operand(a))
		}
		b.WriteByte(')')
	}
	// The result is the last call, unless it is none or there is one behind it, which
	// cannot be: calls behind the result are not used.
	if f.Result.Kind != OfCall {
		return Expr(operand(f.Result))
	}
	return Expr(b.String())
}

// Parse reads an expression. The error says what was found, and where.
func (e Expr) Parse() (*Formula, error) {
	p := &exprParser{text: string(e), f: new(Formula)}
	var results []Operand
	for {
		p.results = results
		v := p.operand(0)
		if p.err == nil && p.at < len(p.text) && p.text[p.at] != ';' {
			p.fail("got %q, want ; or the end", p.rest())
		}
		if p.err != nil {
			return nil, fmt.Errorf("expression %q: %w", e, p.err)
		}
		p.f.Result = v
		results = append(results, v)
		if p.at == len(p.text) {
			return p.f, nil
		}
		p.at++
	}
}

// An exprParser reads an expression from the left.
type exprParser struct {
	text    string
	at      int
	f       *Formula
	results []Operand // of t0, t1, ...
	err     error
}

func (p *exprParser) fail(format string, args ...any) Operand {
	if p.err == nil {
		p.err = fmt.Errorf("at %d: %s", p.at, fmt.Sprintf(format, args...))
	}
	return Operand{}
}

// rest returns the beginning of what is left.
func (p *exprParser) rest() string { return p.text[p.at:min(len(p.text), p.at+20)] }

// operand reads an input, a result, a number or a call.
func (p *exprParser) operand(depth int) Operand {
	start := p.at
	for p.at < len(p.text) && strings.IndexByte("(),;", p.text[p.at]) < 0 {
		p.at++
	}
	word := p.text[start:p.at]
	if p.at < len(p.text) && p.text[p.at] == '(' {
		return p.call(word, depth)
	}
	if len(word) > 1 && (word[0] == 'x' || word[0] == 't') {
		i, err := strconv.Atoi(word[1:])
		switch {
		case err != nil:
		case word[0] == 'x' && i >= 0 && i < MaxInputs:
			return InputOf(i)
		case word[0] == 't' && i >= 0 && i < len(p.results):
			return p.results[i]
		}
	}
	v, err := strconv.ParseFloat(word, 64)
	if err != nil || !isFinite(v) {
		p.at = start
		return p.fail("got %.20q, want x0 to x%d, an earlier t, a number or a call", word, MaxInputs-1)
	}
	return Number(v)
}

// call reads the arguments of a function.
func (p *exprParser) call(name string, depth int) Operand {
	i := slices.IndexFunc(fns[:], func(r fnRow) bool { return r.name == name })
	if i < 0 || depth > maxNested {
		return p.fail("%.20q is no function, or within more than %d", name, maxNested)
	}
	fn := Fn(i)
	var args []Operand
	for p.err == nil {
		p.at++ // ( or ,
		args = append(args, p.operand(depth+1))
		if p.err != nil || p.at == len(p.text) || p.text[p.at] != ',' {
			break
		}
	}
	switch {
	case p.err != nil:
		return Operand{}
	case p.at == len(p.text) || p.text[p.at] != ')':
		return p.fail("got %q, want , or )", p.rest())
	case len(args) != fn.Arity():
		return p.fail("%s has %d arguments, want %d", name, len(args), fn.Arity())
	case len(p.f.Calls) >= maxCalls:
		return p.fail("more than %d calls", maxCalls)
	}
	p.at++
	return p.f.Call(fn, args...)
}

// Registers returns a register for the result of each call, and how many there are, so
// that no two results share one while both are still to be used. A call may write the
// register of an argument.
func (f *Formula) Registers() (of []int, n int) {
	last := make([]int, len(f.Calls))
	for i, c := range f.Calls {
		for _, a := range c.Args[:c.Fn.Arity()] {
			if a.Kind == OfCall {
				last[a.Index] = i
			}
		}
	}
	if f.Result.Kind == OfCall {
		last[f.Result.Index] = len(f.Calls)
	}
	of = make([]int, len(f.Calls))
	var free []int
	for i, c := range f.Calls {
		for _, a := range c.Args[:c.Fn.Arity()] {
			if a.Kind == OfCall && last[a.Index] == i && !slices.Contains(free, of[a.Index]) {
				free = append(free, of[a.Index])
			}
		}
		if k := len(free) - 1; k >= 0 {
			of[i], free = free[k], free[:k]
		} else {
			of[i] = n
			n++
		}
	}
	return of, n
}

// Derivative returns the expression of dy·∂f/∂xᵢ, where dy is input n, the one behind
// those of f; "" if f does not depend on xᵢ.
func (f *Formula) Derivative(i, n int) Expr {
	d := &Formula{Calls: slices.Clone(f.Calls), known: maps.Clone(f.known)}
	depends := f.depend(i)
	// grads are the derivatives of the result with respect to calls, and wrt to xᵢ.
	grads := make([]*Operand, len(f.Calls))
	var wrt *Operand
	give := func(to Operand, g Operand) {
		var at **Operand
		switch {
		case to.Kind == OfCall:
			at = &grads[to.Index]
		case to.Kind == OfInput && to.Index == i:
			at = &wrt
		default:
			return
		}
		if *at != nil {
			g = d.Call(FnAdd, **at, g)
		}
		*at = &g
	}
	give(f.Result, InputOf(n))
	for k := len(f.Calls) - 1; k >= 0; k-- {
		if grads[k] == nil {
			continue
		}
		c := f.Calls[k]
		args := append(slices.Clone(c.Args[:c.Fn.Arity()]), *grads[k])
		for j, rule := range fns[c.Fn].grad {
			if rule != "" && depends(args[j]) {
				give(args[j], d.insert(rule, args))
			}
		}
	}
	if wrt == nil {
		return ""
	}
	d.Result = *wrt
	return d.Expr()
}

// depend returns what reports whether an operand depends on input i.
func (f *Formula) depend(i int) func(Operand) bool {
	calls := make([]bool, len(f.Calls))
	depends := func(o Operand) bool {
		return o.Kind == OfInput && o.Index == i || o.Kind == OfCall && calls[o.Index]
	}
	for k, c := range f.Calls {
		calls[k] = slices.ContainsFunc(c.Args[:c.Fn.Arity()], depends)
	}
	return depends
}

// insert adds a formula with operands in place of its inputs, and returns its result.
func (f *Formula) insert(e Expr, args []Operand) Operand {
	g, err := e.Parse()
	if err != nil {
		panic("ir: invariant: " + err.Error())
	}
	return f.Insert(g, args)
}

// Insert adds a formula with operands in place of its inputs, and returns its result.
func (f *Formula) Insert(g *Formula, args []Operand) Operand {
	results := make([]Operand, len(g.Calls))
	find := func(o Operand) Operand {
		switch o.Kind {
		case OfInput:
			return args[o.Index]
		case OfCall:
			return results[o.Index]
		}
		return o
	}
	for i, c := range g.Calls {
		in := make([]Operand, c.Fn.Arity())
		for k := range in {
			in[k] = find(c.Args[k])
		}
		results[i] = f.Call(c.Fn, in...)
	}
	return find(g.Result)
}
