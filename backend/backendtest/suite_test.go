package backendtest

import (
	"math"
	"os"
	"os/exec"
	"testing"
	"unsafe"

	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/backend/ref"
)

// TestBounds checks that no tolerance is so wide that it would hide a bug: a
// thousandth of the largest value.
func TestBounds(t *testing.T) {
	for op, cases := range opCases() {
		for _, c := range cases {
			c.op = op
			if c.tol.terms > 700 || c.long || testing.Short() && c.isLong() {
				continue // as wide as others, but slow
			}
			p := c.program(t)
			s := c.sample(p)
			want, _ := c.want(p, s)
			scales := c.scales(t, s)
			for k, w := range want {
				largest := 2e-3
				for _, v := range w {
					largest = max(largest, math.Abs(v))
				}
				for i, b := range c.tol.bounds(w, scales[k], c.attrs) {
					if limit := largest * 5e-3; !(b <= limit) {
						t.Errorf("%v/%s: output %d[%d] may be off by %v, want at most %v", op, c.name, k, i, b, limit)
						break
					}
				}
			}
		}
	}
}

// breaks are ways in which a backend can be wrong. Each spoils what an
// instruction has done.
var breaks = map[string]func(p *ir.Program, s host.Slots){
	"past the end": func(p *ir.Program, s host.Slots) {
		x := lastOut(p, s)
		*(*float32)(unsafe.Add(unsafe.Pointer(&x[0]), 4*len(x))) = 1
	},
	"before the start": func(p *ir.Program, s host.Slots) {
		*(*float32)(unsafe.Add(unsafe.Pointer(&lastOut(p, s)[0]), -4)) = 1
	},
	"input changed":   func(p *ir.Program, s host.Slots) { s.F[p.Instrs[0].In[0]][0]++ },
	"element is NaN":  func(p *ir.Program, s host.Slots) { lastOut(p, s)[0] = float32(math.NaN()) },
	"one is off":      func(p *ir.Program, s host.Slots) { lastOut(p, s)[0] += 0.05 },
	"low precision":   func(p *ir.Program, s host.Slots) { round(lastOut(p, s)) },
	"Exec is another": nil,
	"works":           func(*ir.Program, host.Slots) {},
}

func lastOut(p *ir.Program, s host.Slots) []float32 {
	out := p.Instrs[0].Out
	return s.F[out[len(out)-1]]
}

// round keeps 8 bits of each fraction, as bfloat16 does.
func round(x []float32) {
	for i, v := range x {
		x[i] = math.Float32frombits(math.Float32bits(v) &^ 0xffff)
	}
}

// A broken executor is ref with a fault.
type broken struct {
	ref.Executor
	fault string
}

func (b broken) Compile(p *ir.Program, s host.Slots) (host.Runner, error) {
	r, err := b.Executor.Compile(p, s)
	return brokenRunner{r, p, s, b.fault}, err
}

type brokenRunner struct {
	host.Runner
	p     *ir.Program
	s     host.Slots
	fault string
}

func (r brokenRunner) Run() {
	r.Runner.Run()
	if spoil := breaks[r.fault]; spoil != nil {
		spoil(r.p, r.s)
	}
}

func (r brokenRunner) Exec(i int) {
	r.Runner.Exec(i)
	if r.fault == "Exec is another" {
		lastOut(r.p, r.s)[0]++
	}
}

const faultVariable = "BACKENDTEST_FAULT"

// TestBroken runs the suite on a faulty executor, when TestCatches asks for it.
func TestBroken(t *testing.T) {
	fault := os.Getenv(faultVariable)
	if fault == "" {
		t.Skip("runs as a child of TestCatches")
	}
	Ops(t, func(*testing.T) host.Executor { return broken{fault: fault} })
}

// TestBrokenBF16 runs the suite for bf16 on the definition, which rounds nothing, when
// TestCatches asks for it.
func TestBrokenBF16(t *testing.T) {
	if os.Getenv(faultVariable) == "" {
		t.Skip("runs as a child of TestCatches")
	}
	OpsBF16(t, func(*testing.T) host.Executor { return ref.Executor{} })
}

// TestCatchesBF16 checks that the suite for bf16 fails on products that are not rounded,
// and on nothing else that is not.
func TestCatchesBF16(t *testing.T) {
	for op, want := range map[string]bool{"matmul": false, "conv2d": false, "conv2d_dx": false, "conv2d_dw": false, "bias_grad": true} {
		cmd := exec.Command(os.Args[0], "-test.short", "-test.run=^TestBrokenBF16$/^"+op+"$")
		cmd.Env = append(os.Environ(), faultVariable+"=unrounded")
		if out, err := cmd.CombinedOutput(); (err == nil) != want {
			t.Errorf("%s: %v\n%s", op, err, out)
		}
	}
}

// TestCatches checks that the suite fails on every fault, and only then.
func TestCatches(t *testing.T) {
	for fault := range breaks {
		if testing.Short() && fault != "works" && fault != "low precision" {
			continue
		}
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			for _, op := range []string{"matmul", "bias_grad", "activation", "layer_norm"} {
				cmd := exec.Command(os.Args[0], "-test.run=^TestBroken$/^"+op+"$/^(\\[3_17\\]|13x17x19)")
				cmd.Env = append(os.Environ(), faultVariable+"="+fault)
				out, err := cmd.CombinedOutput()
				if (err == nil) != (fault == "works") {
					t.Errorf("%s: %v\n%s", op, err, out)
				}
			}
		})
	}
}
