package cuda

import (
	"fmt"
	"strings"
	"testing"
)

// A report is what the tests and benchmarks on a card have found.
type report struct {
	Date       string            `json:"date"`
	Card       *Card             `json:"card"`
	Driver     string            `json:"driver"`
	Sections   []sectionResult   `json:"sections,omitempty"`
	Checks     map[string]string `json:"checks"` // by test: "ok", "failed" or "skipped"
	Benchmarks []measurement     `json:"benchmarks"`
	Torch      string            `json:"torch,omitempty"` // version, or why there is none
	TorchTimes []torchTime       `json:"torch_times,omitempty"`
	Goals      []goal            `json:"goals,omitempty"`
}

// A measurement is a median on the card.
type measurement struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
	Note  string  `json:"note,omitempty"`
}

// A torchTime is what PyTorch needs for the work of that name; 0 is unknown.
type torchTime struct {
	Name     string            `json:"name"`
	Eager    float64           `json:"eager,omitempty"`    // ms of a step, or TFLOP/s
	Compiled float64           `json:"compiled,omitempty"` // likewise
	Errors   map[string]string `json:"errors,omitempty"`
	Version  string            `json:"version,omitempty"`
}

// A goal is what a measurement has to reach, and whether it does.
type goal struct {
	Name   string  `json:"name"`
	Got    float64 `json:"got"`
	Want   float64 `json:"want"`
	AtMost bool    `json:"at_most"` // else at least
	Met    bool    `json:"met"`
}

func (r *report) value(name string) float64 {
	for _, m := range r.Benchmarks {
		if m.Name == name {
			return m.Value
		}
	}
	return 0
}

// torch returns all that is known of a work: eager and compiled come one by one.
func (r *report) torch(name string) (all torchTime) {
	for _, t := range r.TorchTimes {
		if t.Name == name {
			all.Eager += t.Eager
			all.Compiled += t.Compiled
		}
	}
	return all
}

// judge compares the benchmarks with the goals for an H200. Those without a
// measurement are left out.
func (r *report) judge() {
	r.Goals = nil
	add := func(name string, got, want float64, atMost bool) {
		if got > 0 && want > 0 {
			r.Goals = append(r.Goals, goal{name, got, want, atMost, atMost && got <= want || !atMost && got >= want})
		}
	}
	for _, w := range []struct {
		work                    string
		overEager, overCompiled float64
	}{
		{"mlp-512 sgd 128", 5, 1.5}, {"mlp-512 adam 128", 5, 1.5}, {"cnn adam 128", 0, 1.5}, {"cnn adam 1024", 0, 1},
	} {
		for _, p := range []string{"fp32", "tf32", "bf16"} {
			name := w.work + " " + p
			ms, torch := r.value(name), r.torch(name)
			if ms > 0 {
				add(name+", times as fast as PyTorch eager", torch.Eager/ms, w.overEager, false)
				add(name+", times as fast as PyTorch compiled", torch.Compiled/ms, w.overCompiled, false)
			}
		}
	}
	add("epoch of MNIST, ms", r.value("mlp-512 adam 128 tf32, 468 steps"), 15, true)
	add("40 epochs, s", r.value("goal, 40 epochs"), 2, true)
	add("test accuracy, %", r.value("goal, test accuracy"), 98.4, false)
	for _, name := range []string{"4096 tf32", "4096 bf16", "8192 tf32", "8192 bf16"} {
		if library := r.value("cublaslt " + name); library > 0 {
			add("product "+name+", share of cuBLASLt", r.value("product "+name)/library, 0.95, false)
			add("kernel "+name+", share of cuBLASLt", r.value("matmul "+name)/library, 0.95, false)
		}
	}
	for _, m := range r.Benchmarks {
		if bandwidth := r.value("copy"); m.Unit == "GB/s" && m.Name != "copy" && bandwidth > 0 {
			add(m.Name+", share of the copy", m.Value/bandwidth, 0.85, false)
		}
	}
}

// table is the report for people.
func (r *report) table() string {
	var b strings.Builder
	if r.Card != nil {
		fmt.Fprintf(&b, "\n%s, CUDA driver %s, %s\n", r.Card, r.Driver, r.Date)
	}
	for _, s := range r.Sections {
		fmt.Fprintf(&b, "%-10s %-11s %5.1f s\n", s.Name, s.State, s.Seconds)
	}
	for name, state := range r.Checks {
		if state != "ok" {
			fmt.Fprintf(&b, "%s: %s\n", name, state)
		}
	}
	for _, s := range r.Sections {
		if s.Words != "" {
			fmt.Fprintf(&b, "\n%s, %s:\n%s\n", s.Name, s.State, lastLines(s.Words, 12))
		}
	}
	if len(r.Benchmarks) > 0 {
		fmt.Fprintf(&b, "\n| work | gespann | PyTorch eager | compiled | |\n|---|---|---|---|---|\n")
	}
	for _, m := range r.Benchmarks {
		show := func(v float64) string {
			if v == 0 {
				return "-"
			}
			return fmt.Sprintf("%.4g %s", v, m.Unit)
		}
		torch := r.torch(m.Name)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", m.Name, show(m.Value), show(torch.Eager), show(torch.Compiled), m.Note)
	}
	if r.Torch != "" {
		fmt.Fprintf(&b, "\nPyTorch: %s\n", r.Torch)
	}
	if len(r.Goals) > 0 {
		fmt.Fprintf(&b, "\n| goal | got | want | |\n|---|---|---|---|\n")
	}
	for _, g := range r.Goals {
		bound, met := "at least", "no"
		if g.AtMost {
			bound = "at most"
		}
		if g.Met {
			met = "yes"
		}
		fmt.Fprintf(&b, "| %s | %.4g | %s %.4g | %s |\n", g.Name, g.Got, bound, g.Want, met)
	}
	return b.String()
}

// TestGoals checks how measurements are judged.
func TestGoals(t *testing.T) {
	r := report{
		Benchmarks: []measurement{
			{Name: "mlp-512 sgd 128 tf32", Unit: "ms", Value: 0.03}, {Name: "goal, test accuracy", Unit: "%", Value: 98.3},
			{Name: "product 4096 bf16", Unit: "TFLOP/s", Value: 96}, {Name: "cublaslt 4096 bf16", Unit: "TFLOP/s", Value: 100},
			{Name: "copy", Unit: "GB/s", Value: 4000}, {Name: "relu", Unit: "GB/s", Value: 3000},
			{Name: "goal, 40 epochs", Unit: "s", Value: 1.9},
		},
		TorchTimes: []torchTime{{Name: "mlp-512 sgd 128 tf32", Eager: 0.15}, {Name: "mlp-512 sgd 128 tf32", Compiled: 0.04}},
	}
	r.judge()
	want := map[string]bool{
		"mlp-512 sgd 128 tf32, times as fast as PyTorch eager":    true,
		"mlp-512 sgd 128 tf32, times as fast as PyTorch compiled": false,
		"test accuracy, %":                     false,
		"product 4096 bf16, share of cuBLASLt": true,
		"relu, share of the copy":              false,
		"40 epochs, s":                         true,
	}
	if len(r.Goals) != len(want) {
		t.Errorf("%d goals, want %d: %+v", len(r.Goals), len(want), r.Goals)
	}
	for _, g := range r.Goals {
		if met, ok := want[g.Name]; !ok || met != g.Met {
			t.Errorf("%s: got %v of %v is %v, want %v", g.Name, g.Got, g.Want, g.Met, met)
		}
	}
	if text := r.table(); !strings.Contains(text, "| 40 epochs, s | 1.9 | at most 2 | yes |") ||
		!strings.Contains(text, "| mlp-512 sgd 128 tf32 | 0.03 ms | 0.15 ms | 0.04 ms |") {
		t.Errorf("the table is\n%s", text)
	}
}
