package model

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/ir"
)

// A drawer writes random models.
type drawer struct {
	*rand.Rand
	b     strings.Builder
	named int
}

func pick[T any](d *drawer, from ...T) T { return from[d.IntN(len(from))] }

func (d *drawer) activation() string {
	return pick(d, "linear", "relu", "leaky_relu", "elu", "gelu", "sigmoid", "tanh", "softplus", "silu", "softmax")
}

func (d *drawer) line(format string, args ...any) {
	fmt.Fprintf(&d.b, "  - "+format+"\n", args...)
}

// name adds a name to the last line and returns it.
func (d *drawer) name() string {
	d.named++
	fmt.Fprintf(&d.b, "    name: n%d\n", d.named)
	return fmt.Sprint("n", d.named)
}

// image adds a layer that takes and gives images, at least 1x1.
func (d *drawer) image() {
	conv := func(filters int) {
		d.line("conv2d: {filters: %d, kernel_size: [%d, %d], padding: same, activation: %s, use_bias: %t, groups: %d}",
			filters, 1+d.IntN(3), 1+d.IntN(3), d.activation(), d.IntN(2) == 0, 1+d.IntN(2))
	}
	switch d.IntN(8) {
	case 0:
		d.line("conv2d: {filters: 4, kernel_size: %d, strides: %d, padding: same, activation: %s}",
			1+d.IntN(3), 1+d.IntN(2), d.activation())
	case 1:
		d.line("conv2d: {filters: 2, kernel_size: %d, dilation_rate: 2, padding: same}", 1+d.IntN(2))
	case 2:
		d.line("%s_pooling2d: {pool_size: 2, strides: %d, padding: same}", pick(d, "max", "average"), 1+d.IntN(2))
	case 3: // residual
		d.line("conv2d: {filters: 4, kernel_size: 1, activation: %s}", d.activation())
		trunk := d.name()
		d.line("%s: {}", pick(d, "batch_normalization", "layer_normalization"))
		conv(4)
		branch := d.name()
		d.line("add: {}\n    inputs: [%s, %s]", trunk, branch)
		d.line("activation: %s", d.activation())
	case 4: // branches
		d.line("dense: {units: 2, activation: %s}", d.activation())
		trunk := d.name()
		d.line("conv2d: {filters: 2, kernel_size: 2, padding: same, activation: %s}", d.activation())
		branch := d.name()
		d.line("concatenate: {}\n    inputs: [%s, %s, %s]", trunk, branch, trunk)
	case 5:
		d.line("dropout: {rate: 0.%d}", d.IntN(9))
	case 6:
		d.line("%s: {}", pick(d, "batch_normalization", "layer_normalization"))
	case 7:
		d.line("repeat:\n      times: 2\n      layers:\n      - dense: {units: 4, activation: %s}\n      - batch_normalization: {}", d.activation())
	}
}

// vector adds a layer that takes and gives vectors.
func (d *drawer) vector() {
	switch d.IntN(4) {
	case 0:
		d.line("dense: {units: %d, activation: %s, use_bias: %t}", 1+d.IntN(5), d.activation(), d.IntN(2) == 0)
	case 1:
		d.line("%s: {}", pick(d, "batch_normalization", "layer_normalization"))
	case 2:
		d.line("activation: %s", d.activation())
	case 3:
		d.line("dropout: {rate: 0.5}")
	}
}

// model returns a random model.
func (d *drawer) model() string {
	d.b.WriteString("model:\n")
	for range d.IntN(4) {
		d.image()
	}
	d.line("%s", pick(d, "flatten", "global_average_pooling2d", "flatten"))
	for range d.IntN(4) {
		d.vector()
	}
	d.line("dense: {units: 3, activation: %s}", pick(d, "softmax", "linear"))
	d.b.WriteString(sparse + "metrics: [accuracy]\n")
	return d.b.String()
}

// TestRandomModels checks on random models that programs verify and that fusion
// changes nothing.
func TestRandomModels(t *testing.T) {
	count := 100
	if testing.Short() {
		count = 20
	}
	built := 0
	for seed := range count {
		d := &drawer{Rand: rand.New(rand.NewPCG(uint64(seed), 1))}
		yaml := d.model()
		m, err := Build(parse(t, yaml), Input{Shape: []int{1 + d.IntN(5), 1 + d.IntN(5), 2}, Classes: 3})
		if err != nil {
			// Groups that do not divide, and a softmax of one number, are refused.
			if !strings.Contains(err.Error(), "groups") && !strings.Contains(err.Error(), "softmax over one") {
				t.Errorf("seed %d: %v\n%s", seed, err, yaml)
			}
			continue
		}
		built++
		const rows = 3
		fused, err := m.gradientAt(rows, false)
		must(t, fused, err)
		plain, err := m.build(programKey{"gradient", true, false}, rows, true)
		must(t, plain, err)
		for _, p := range programs(t, m, rows) {
			if err := ir.Verify(p, m.Vars()); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		}
		a, b := newMachine(m, rows), newMachine(m, rows)
		compareRuns(t, a, b, a.run(fused), b.run(plain))
		if t.Failed() {
			t.Fatalf("that was seed %d:\n%s", seed, yaml)
		}
	}
	if built < count/2 {
		t.Errorf("only %d of %d models could be built", built, count)
	}
}
