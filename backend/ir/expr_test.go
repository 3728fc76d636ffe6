package ir_test

import (
	"math"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/numtest"
)

// eval computes a formula.
func eval(f *ir.Formula, x []float64) float64 {
	results := make([]float64, len(f.Calls))
	value := func(o ir.Operand) float64 {
		switch o.Kind {
		case ir.OfInput:
			return x[o.Index]
		case ir.OfCall:
			return results[o.Index]
		}
		return o.Value
	}
	for i, c := range f.Calls {
		var v [3]float64
		for k := range c.Fn.Arity() {
			v[k] = value(c.Args[k])
		}
		results[i] = c.Fn.Eval(v[0], v[1], v[2])
	}
	return value(f.Result)
}

// TestExpr has texts, what they are when written again, and their values at 3, 5 and 2.
func TestExpr(t *testing.T) {
	for _, c := range []struct {
		text, want ir.Expr
		value      float64
	}{
		{"x1", "x1", 5},
		{"-2.5e-3", "-0.0025", -0.0025},
		{"mul(x0,x1)", "mul(x0,x1)", 15},
		{"mul(x0,add(x1,x2))", "add(x1,x2);mul(x0,t0)", 21},
		{"add(x0,x1);mul(t0,t0);sub(t1,t0)", "add(x0,x1);mul(t0,t0);sub(t1,t0)", 56},
		{"mul(add(x0,x1),add(x0,x1))", "add(x0,x1);mul(t0,t0)", 64},
		{"exp(x0);neg(x1)", "neg(x1)", -5},
		{"mul(x0,1)", "x0", 3},
		{"mul(1,x1);div(t0,1)", "x1", 5},
		{"add(1,2);mul(t0,x0)", "mul(3,x0)", 9},
		{"select(gt(x0,x1),x0,x2)", "gt(x0,x1);select(t0,x0,x2)", 2},
		{"eq(x0,x0);ge(x1,t0);max(t1,min(x0,x2))", "eq(x0,x0);ge(x1,t0);min(x0,x2);max(t1,t2)", 2},
		{"div(1,0)", "div(1,0)", math.Inf(1)},
	} {
		f, err := c.text.Parse()
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := f.Expr(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.text, got, c.want)
		}
		if got := eval(f, []float64{3, 5, 2}); got != c.value {
			t.Errorf("%s: got %v, want %v", c.text, got, c.value)
		}
	}
}

// TestExprErrors has texts that are none, and a word of what is said.
func TestExprErrors(t *testing.T) {
	for text, want := range map[ir.Expr]string{
		"":                                  "want x0",
		"x16":                               "want x0 to x15",
		"t0":                                "an earlier t",
		"mul(x0)":                           "has 1 arguments, want 2",
		"neg(x0,x1)":                        "has 2 arguments, want 1",
		"neg(x0":                            "want , or )",
		"neg(x0)x1":                         "want ; or the end",
		"neg(x0);":                          "want x0",
		"cosine(x0)":                        "is no function",
		"NaN":                               "want x0",
		"1e999":                             "want x0",
		ir.Expr(strings.Repeat("neg(", 99)): "within more than",
	} {
		if _, err := text.Parse(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// TestDerivative compares texts, which tests of gradients compare with differences.
func TestDerivative(t *testing.T) {
	for _, c := range []struct {
		f    ir.Expr
		i    int
		want ir.Expr
	}{
		{"add(x0,x1)", 1, "x2"},
		{"mul(x0,x1)", 0, "mul(x1,x2)"},
		{"mul(x0,x0)", 0, "mul(x0,x2);add(t0,t0)"},
		{"exp(x0)", 0, "exp(x0);mul(t0,x2)"},
		{"max(x0,0)", 0, "ge(x0,0);select(t0,x2,0)"},
		{"gt(x0,x1)", 0, ""},
		{"neg(x0)", 1, ""},
		{"mul(gt(x0,0),x1)", 0, ""},
	} {
		f, err := c.f.Parse()
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Derivative(c.i, 2); got != c.want {
			t.Errorf("∂/∂x%d %s: got %s, want %s", c.i, c.f, got, c.want)
		}
	}
}

// FuzzExpr writes what it reads, and reads that as the same.
func FuzzExpr(f *testing.F) {
	f.Add("mul(x0,add(x1,0.5));tanh(t0)")
	f.Add("select(eq(x0,1),x1,-3e7)")
	f.Fuzz(func(t *testing.T, text string) {
		one, err := ir.Expr(text).Parse()
		if err != nil {
			return
		}
		written := one.Expr()
		two, err := written.Parse()
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, written, err)
		}
		if two.Expr() != written {
			t.Errorf("%q is written as %q and then as %q", text, written, two.Expr())
		}
		x := make([]float64, ir.MaxInputs+1)
		for i := range x {
			x[i] = float64(i) - 3.3
		}
		if a, b := eval(one, x), eval(two, x); a != b && (a == a || b == b) {
			t.Errorf("%q is %v, and written as %q it is %v", text, a, written, b)
		}
		for i := range 2 {
			if e := one.Derivative(i, ir.MaxInputs-1); e != "" {
				if _, err := e.Parse(); err != nil {
					t.Errorf("∂/∂x%d %q: %v", i, text, err)
				}
			}
		}
	})
}

// TestFunctions compares derivatives with differences.
func TestFunctions(t *testing.T) {
	for fn := range ir.Fn(ir.NumFns) {
		f := &ir.Formula{}
		f.Result = f.Call(fn, []ir.Operand{ir.InputOf(0), ir.InputOf(1), ir.InputOf(2)}[:fn.Arity()]...)
		x := []float64{0.7, 1.3, -0.4, 1} // the last is the derivative that is passed on
		for i := range fn.Arity() {
			want := numtest.Grad(func(at []float64) float64 { return eval(f, at) }, x[:3])[i]
			got := 0.0
			if e := f.Derivative(i, 3); e != "" {
				d, err := e.Parse()
				if err != nil {
					t.Fatal(err)
				}
				got = eval(d, x)
			}
			numtest.Close(t, []float64{got}, []float64{want}, numtest.Tol{Abs: 1e-7, Rel: 1e-7, Why: "central differences"})
		}
	}
}
