package main

import (
	"strings"

	"golang.org/x/sys/cpu"
)

// cpuFeatures names the instruction sets of this machine that the cpu backend
// has kernels for.
func cpuFeatures() string {
	var have []string
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"avx512", cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasBMI2},
		{"avx2", cpu.X86.HasAVX2},
		{"fma", cpu.X86.HasFMA},
	} {
		if f.has {
			have = append(have, f.name)
		}
	}
	if len(have) == 0 {
		return "portable code"
	}
	return strings.Join(have, " ")
}
