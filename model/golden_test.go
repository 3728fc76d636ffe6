package model

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/gespann/gespann/backend/ir"
)

var update = flag.Bool("update", false, "rewrite testdata")

// TestGolden compares all texts about some models with testdata. Run it with
// -update after a change, and commit only differences that you can explain.
func TestGolden(t *testing.T) {
	written := map[string]bool{"mlp": true, "relu_flatten": true, "normalized": true}
	forZoo(t, func(t *testing.T, s specimen, m *Model) {
		if written[s.name] {
			golden(t, s.name+".txt", describeModel(t, s, m))
		}
	})
}

// describeModel returns the specimen, its summary, graph and programs.
func describeModel(t *testing.T, s specimen, m *Model) string {
	t.Helper()
	const rows = 4
	text := "# model" + s.yaml + "\n# summary\n" + m.Summary()
	graph, _, err := m.Graph()
	if err != nil {
		t.Fatal(err)
	}
	text += "\n# graph\n" + graph
	forward, err := m.forwardAt(rows, true)
	must(t, forward, err)
	gradient, err := m.gradientAt(rows, false)
	must(t, gradient, err)
	update, err := m.Update()
	must(t, update, err)
	for _, p := range []*ir.Program{forward, gradient, update} {
		text += fmt.Sprintf("\n# program, arena of %d elements\n%s", ir.PlanMemory(p).Size, p)
	}
	return text
}

func TestGoldenDOT(t *testing.T) {
	_, dot, err := build(t, zoo[0]).Graph()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, zoo[0].name+".dot", dot)
}

// golden compares a text with a file of testdata, or rewrites that.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s has changed; run with -update and look at the difference. Got:\n%s", path, got)
	}
}

// Inputs are listed where they are not just the previous layer.
func TestSummaryOfBranches(t *testing.T) {
	const want = `layer         kind         output         parameters  inputs
input                      [batch, 2]
left          dense        [batch, 3]     9
right         dense        [batch, 4]     12          input
joined        concatenate  [batch, 9]     0           left, right, input
up            dense        [batch, 9]     90
add           add          [batch, 9]     0           joined, up, joined
activation    activation   [batch, 9]     0
reshape       reshape      [batch, 3, 3]  0
activation_1  activation   [batch, 3, 3]  0
dense         dense        [batch, 3, 2]  8
reshape_1     reshape      [batch, 6]     0
parameters: 119 trained
`
	for _, s := range zoo {
		if s.name != "branches" {
			continue
		}
		if got := build(t, s).Summary(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}
