//go:build gpu

package cuda

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// torchBench does the same with PyTorch, and prints JSON lines.
//
//go:embed testdata/torch_bench.py
var torchBench string

// TestCardTorch times the workloads in PyTorch, where it can be imported, until
// time is up.
func TestCardTorch(t *testing.T) {
	checked(t)
	if *python == "" {
		t.Skip("-python is empty")
	}
	if words, err := exec.Command(*python, "-c", "import torch").CombinedOutput(); err != nil {
		results.Torch = "not importable here: " + lastLines(string(words), 1)
		return
	}
	args := []string{"-", *only, strconv.Itoa(int(budget.Seconds()))}
	if *small {
		args = append(args, "small")
	}
	cmd := exec.CommandContext(t.Context(), *python, args...)
	cmd.Stdin = strings.NewReader(torchBench)
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		torchSays(t, lines.Bytes())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("PyTorch: %v\n%s", err, lastLines(words.String(), 20))
	}
}

// torchSays notes a line of the benchmark.
func torchSays(t *testing.T, line []byte) {
	t.Helper()
	var x torchTime
	if err := json.Unmarshal(line, &x); err != nil {
		t.Errorf("PyTorch said %q: %v", line, err)
		return
	}
	if x.Version != "" {
		results.Torch = x.Version
	} else {
		results.TorchTimes = append(results.TorchTimes, x)
	}
	if err := saved(); err != nil {
		t.Fatal(err)
	}
}
