package lower

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/ir"
)

// vars are the variables of the programs in these tests.
var vars = []ir.Var{
	{Name: "w", Shape: []int{6, 4}}, {Name: "b", Shape: []int{4}}, {Name: "k", Shape: []int{2, 2, 3, 3}},
	{Name: "g", Shape: []int{3}},
}

// head declares them, and inputs.
const head = `program gradient batch 2
input %0 x f[2,6]
variable %1 w f[6,4] var 0
variable %2 b f[4] var 1
variable %3 k f[2,2,3,3] var 2
variable %4 g f[3] var 3
input %5 z f[2,4]
input %6 image f[2,3,3,3]
`

// TestPasses writes the instructions before and after a pass. The values keep
// their numbers, so what has been merged is missing afterwards.
func TestPasses(t *testing.T) {
	tests := []struct {
		name          string
		pass          func(*ir.Program)
		before, after string // after: empty if nothing changes
	}{
		{"bias", fuseBias, `
output %10 y f[2,4]

%8 = matmul x, w : f[2,4] ; l
y = bias_add %8, b ; l
`, `
y = matmul x, w, b bias ; l
`},
		{"bias of a view", fuseBias, `
output %10 y f[1,2,4]

%8 = matmul x, w : f[2,4] ; l
%9 = view %8 : f[1,2,4]
y = bias_add %9, b ; l
`, `
%8 = matmul x, w, b bias ; l
`},
		{"bias of a product that is read twice", fuseBias, `
output %10 y f[2,4]

%8 = matmul x, w : f[2,4] ; l
%9 = bias_add %8, b : f[2,4] ; l
y = add %8, %9 ; l
`, ``},
		{"bias of a product that is an output", fuseBias, `
output %8 t f[2,4]
output %10 y f[2,4]

t = matmul x, w ; l
y = bias_add t, b ; l
`, ``},
		{"bias of a convolution", fuseBias, `
output %10 y f[2,2,2,3]

%8 = conv2d image, k win=2x2 groups=1 : f[2,2,2,3] ; l
y = bias_add %8, g ; l
`, `
y = conv2d image, k, g bias win=2x2 groups=1 ; l
`},
		{"maps", fuseMaps, `
output %10 y f[2,4]

%8 = map z, b expr=mul(x0,x1) : f[2,4] ; l
%9 = map %8, z expr=tanh(x0);sub(t0,x1) : f[2,4] ; l
y = map %9 expr=exp(x0) ; l
`, `
y = map z, b expr=mul(x0,x1);tanh(t0);sub(t1,x0);exp(t2) ; l
`},
		{"maps with others", fuseMaps, `
output %10 y f[2,4]

%7 = add z, z : f[2,4] ; l
%8 = map %7 expr=neg(x0) : f[2,4] ; l
%9 = bias_add %8, b : f[2,4] ; l
y = activation %9 act=silu ; l
`, `
y = map z, b expr=add(x0,x0);neg(t0);add(t1,x1);sigmoid(t2);mul(t2,t3) ; l
`},
		{"a map that is broadcast", fuseMaps, `
output %10 y f[2,4]

%8 = map b expr=exp(x0) : f[4] ; l
y = map z, %8 expr=mul(x0,x1) ; l
`, ``},
		{"a map that is read twice", fuseMaps, `
output %10 y f[2,4]

%8 = map z expr=exp(x0) : f[2,4] ; l
%9 = map %8 expr=neg(x0) : f[2,4] ; l
y = map %8, %9 expr=mul(x0,x1) ; l
`, `
y = map z expr=exp(x0);neg(t0);mul(t0,t1) ; l
`},
		{"a map that others read, too", fuseMaps, `
output %10 y f[2,4]
output %11 p f[2,4]

%8 = map z expr=exp(x0) : f[2,4] ; l
p = softmax %8 ; l
y = map %8 expr=neg(x0) ; l
`, ``},
		{"no map", fuseMaps, `
output %10 y f[2,4]

%8 = bias_add z, b : f[2,4] ; l
y = add %8, z ; l
`, ``},
		{"activation", fuseActivation, `
output %10 y f[2,4]

%8 = matmul x, w, b bias : f[2,4] ; l
y = activation %8 act=leaky_relu alpha=0.5 ; l
`, `
y = matmul x, w, b bias act=leaky_relu alpha=0.5 ; l
`},
		{"activation whose input is needed", fuseActivation, `
output %10 y f[2,4]

%8 = matmul x, w : f[2,4] ; l
%9 = activation %8 act=gelu : f[2,4] ; l
y = act_grad %8, %9 act=gelu ; l
`, ``},
		{"activation of a sum", fuseActivation, `
output %10 y f[2,4]

%8 = add z, z : f[2,4] ; l
y = activation %8 act=relu ; l
`, `
y = add z, z act=relu ; l
`},
		{"second activation", fuseActivation, `
output %10 y f[2,4]

%8 = add z, z act=relu : f[2,4] ; l
y = activation %8 act=tanh ; l
`, ``},
		{"activation of a softmax", fuseActivation, `
output %10 y f[2,4]

%8 = softmax z : f[2,4] ; l
y = activation %8 act=tanh ; l
`, ``},
		{"activation of a side output", fuseActivation, `
output %10 y f[3]
output %11 n f[2,3,3,3]

n, %12, %13 = batch_norm image, g, g eps=0.1 : f[3] f[3] ; l
y = activation %12 act=tanh ; l
`, ``},
		{"activation and bias gradient of a pooling", fusePoolGrad, `
output %10 dx f[2,3,3,3]
output %11 db f[3]

%12, %13 = max_pool image win=2x2 : f[2,2,2,3] i[2,2,2,3] ; p
%14 = softmax %12 : f[2,2,2,3] ; p
%15 = max_pool_grad %13, %14 dims=[2,3,3,3] : f[2,3,3,3] ; p
%16 = act_grad image, %15 act=relu : f[2,3,3,3] ; l
db = bias_grad %16 ; l
dx = add image, %16 ; l
`, `
%12, %13 = max_pool image win=2x2 : f[2,2,2,3] i[2,2,2,3] ; p
%14 = softmax %12 : f[2,2,2,3] ; p
%20 = act_grad %12, %14 act=relu : f[2,2,2,3] ; l
%16 = max_pool_grad %13, %20 dims=[2,3,3,3] : f[2,3,3,3] ; p
db = bias_grad %20 ; l
dx = add image, %16 ; l
`},
		{"activation gradient from the input of a pooling", fusePoolGrad, `
output %10 dx f[2,3,3,3]

%12, %13 = max_pool image win=2x2 : f[2,2,2,3] i[2,2,2,3] ; p
%15 = max_pool_grad %13, %12 dims=[2,3,3,3] : f[2,3,3,3] ; p
dx = act_grad image, %15 act=gelu ; l
`, ``},
		{"copy", fuseActivation, `
output %10 y f[2,4]

%8 = add z, z : f[2,4] ; l
y = activation %8 ; l
`, ``},
		{"activation gradient", fuseActGrad, `
output %10 y f[2,6]

%8 = matmul z, w trans_b : f[2,6] ; l
y = act_grad x, %8 act=relu ; l
`, `
y = matmul z, w, x trans_b grad_act act=relu ; l
`},
		{"activation gradient behind a view", fuseActGrad, `
output %10 y f[2,2,3]

%7 = view x : f[2,2,3]
%8 = matmul z, w trans_b : f[2,6] ; l
%9 = view %8 : f[2,2,3]
y = act_grad %7, %9 act=relu ; l
`, `
%8 = matmul z, w, x trans_b grad_act act=relu ; l
`},
		{"activation gradient of a convolution", fuseActGrad, `
output %10 y f[2,3,3,3]

%7 = conv2d image, k win=2x2 groups=1 : f[2,2,2,3] ; l
%8 = conv2d_dx k, %7 win=2x2 groups=1 dims=[2,3,3,3] : f[2,3,3,3] ; l
y = act_grad image, %8 act=elu alpha=2 ; l
`, `
%7 = conv2d image, k win=2x2 groups=1 : f[2,2,2,3] ; l
y = conv2d_dx k, %7, image grad_act act=elu alpha=2 win=2x2 groups=1 dims=[2,3,3,3] ; l
`},
		{"activation gradient whose reference comes later", fuseActGrad, `
output %10 y f[2,6]

%8 = matmul z, w trans_b : f[2,6] ; l
%9 = softmax x : f[2,6] ; l
y = act_grad %9, %8 act=relu ; l
`, ``},
		{"activation gradient of a sum", fuseActGrad, `
output %10 y f[2,6]

%8 = matmul z, w trans_b : f[2,6] ; l
%9 = add %8, x : f[2,6] ; l
y = act_grad x, %9 act=relu ; l
`, ``},
		{"dead code", dropDead, `
output %10 y f[2,4]

%7 = softmax z : f[2,4] ; l
%8 = softmax %7 : f[2,4] ; l
y = add z, z ; l
`, `
y = add z, z ; l
`},
		{"unwanted outputs", dropDead, `
grad %10 grad.g f[3] var 3

%7, %8, %9 = batch_norm image, g, g eps=0.1 : f[2,3,3,3] f[3] f[3] ; l
%11, grad.g, %12 = batch_norm_grad image, g, %8, %9, %7 eps=0.1 : f[2,3,3,3] f[3] ; l
`, `
%7, %8, %9 = batch_norm image, g, g eps=0.1 : f[2,3,3,3] f[3] f[3] ; l
_, grad.g, _ = batch_norm_grad image, g, %8, %9, %7 eps=0.1 ; l
`},
		{"accumulation", accumulate, `
grad %10 grad.b f[4] var 1
output %11 y f[4]

grad.b = bias_grad z ; l
y = activation grad.b act=relu ; l
`, `
%20 = bias_grad z : f[4] ; l
grad.b = accumulate %20 ; l
y = activation %20 act=relu ; l
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ir.Parse(fill(head + strings.TrimPrefix(tt.before, "\n")))
			if err != nil {
				t.Fatal(err)
			}
			if err := ir.Verify(p, vars); err != nil {
				t.Fatal(err)
			}
			tt.pass(p)
			want := tt.after
			if want == "" {
				_, want, _ = strings.Cut(tt.before, "\n\n")
			}
			got := instructions(p)
			if strings.TrimSpace(got) != strings.TrimSpace(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			compact(p) // values that nothing assigns any more
			if err := ir.Verify(p, vars); err != nil {
				t.Error(err)
			}
		})
	}
}

// fill declares inputs for the numbers of values that a text leaves out.
func fill(text string) string {
	header, body, _ := strings.Cut(text, "\n\n")
	for i := range 20 {
		if !regexp.MustCompile(fmt.Sprintf(`%%%d\b`, i)).MatchString(text) {
			header += fmt.Sprintf("\ninput %%%d unused%d f[1]", i, i)
		}
	}
	return header + "\n\n" + body
}

// instructions returns the lines of a program's text that assign something,
// without views.
func instructions(p *ir.Program) string {
	_, body, _ := strings.Cut(p.String(), "\n\n")
	var out []string
	for line := range strings.Lines(body) {
		if !strings.Contains(line, " = view ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// TestMapsFit fuses a long chain of maps into as many as have room in a backend.
func TestMapsFit(t *testing.T) {
	text := "program gradient batch 2\ninput %0 z f[2,4]\noutput %1 y f[2,4]\n\n"
	const n = 100
	for i := range n {
		from, to, shape := fmt.Sprintf("%%%d", i+1), fmt.Sprintf("%%%d", i+2), " : f[2,4]"
		if i == 0 {
			from = "z"
		}
		if i == n-1 {
			to, shape = "y", ""
		}
		text += fmt.Sprintf("%s = map %s expr=exp(x0)%s ; l\n", to, from, shape)
	}
	p, err := ir.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	fuseMaps(p)
	calls := 0
	for _, ins := range p.Instrs {
		f, err := ins.Attrs.Expr.Parse()
		if err != nil {
			t.Fatal(err)
		}
		if calls += len(f.Calls); len(f.Calls) > maxFused {
			t.Errorf("a map has %d calls, want at most %d", len(f.Calls), maxFused)
		}
	}
	if calls != n || len(p.Instrs) > n/maxFused+1 {
		t.Errorf("got %d calls in %d maps, want %d in at most %d", calls, len(p.Instrs), n, n/maxFused+1)
	}
}
