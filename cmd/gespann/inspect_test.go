package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/cpu"
)

// TestInspectPlan checks that a plan has each instruction of the programs, for the
// backend that was asked for.
func TestInspectPlan(t *testing.T) {
	config := "../../configs/digits-mlp.yaml"
	program := must(t, "inspect", config, "--stage", "program", "--batch", "8")
	instructions := strings.Count(program, " ; ")
	line := regexp.MustCompile(`(?m)^ *\d+  `)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"gradient batch 8 on cpu: " + cpu.Kernels() + " kernels, ", "A·B m 8 n 256 k 64; tiles ", "Aᵀ·B", "a in place; b "}},
		{[]string{"--threads", "3"}, []string{"3 threads"}},
		{[]string{"--set", "backend.kind=cluster"}, []string{"on cpu"}},
		{[]string{"--set", "backend.precision=bf16"}, []string{cpu.Kernels() + " kernels, bf16", "; factors rounded to "}},
		{[]string{"--backend", "gpu"}, []string{"H200", "gradient batch 8 on gpu: sm_90, 132 multiprocessors, fp32", "matmul_nn_", " blocks of "}},
		{[]string{"--backend", "gpu", "--set", "backend.precision=tf32"}, []string{"132 multiprocessors, tf32", "matmul_nn_tf32_"}},
	} {
		got := must(t, append([]string{"inspect", config, "--stage", "plan", "--batch", "8"}, c.args...)...)
		contains(t, strings.Join(c.args, " "), got, c.want...)
		if n := len(line.FindAllString(got, -1)); n != instructions || n == 0 {
			t.Errorf("%v: %d lines, want %d:\n%s", c.args, n, instructions, got)
		}
	}
	code, _, words := gespann(t, "", "inspect", config, "--stage", "plan", "--backend", "ref")
	if code != exitUsage || !strings.Contains(words, "backend ref has none") {
		t.Errorf("backend ref: exit code %d, %s", code, words)
	}
}
