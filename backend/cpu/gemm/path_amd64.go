//go:build !noasm

package gemm

import "golang.org/x/sys/cpu"

// assembly returns the paths in assembly that this machine can run.
func assembly() []*path {
	var all []*path
	x := &cpu.X86
	if x.HasAVX512F && x.HasAVX512VL && x.HasBMI2 {
		all = append(all, &path{
			name: "avx512",
			wide: avx512x32[:], width: 32,
			narrow: avx512x16[:], narrowWidth: 16,
			copyWide: copyRows32avx512, copyNarrow: copyRows16avx512,
			transpose: transpose16avx512, block: 16,
			addTo: addToavx512, lanes: 16,
		})
	}
	if x.HasAVX2 && x.HasFMA {
		all = append(all, &path{
			name: "avx2",
			wide: avx2x16[:], width: 16,
			copyWide:  copyRows16avx2,
			transpose: transpose8avx2, block: 8,
			addTo: addToavx2, lanes: 8,
		})
	}
	return all
}
