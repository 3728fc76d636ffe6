//go:build !noasm

package gemm

import "golang.org/x/sys/cpu"

// assembly returns the paths in assembly that this machine can run.
func assembly() []*path {
	var all []*path
	x := &cpu.X86
	if !x.HasAVX2 || !x.HasFMA {
		return nil
	}
	avx2 := path{
		name: "avx2",
		wide: avx2x16[:], width: 16,
		each: avx2each[:], eachWidth: 8,
		copyWide:  copyRows16avx2,
		transpose: transpose8avx2, block: 8,
		addTo: addToavx2, lanes: 8,
	}
	if x.HasAVX512F && x.HasBMI2 {
		// For narrow panels the AVX2 kernels are the faster ones: one vector per
		// row leaves AVX-512 with a broadcast for each multiplication.
		all = append(all, &path{
			name: "avx512",
			wide: avx512x32[:], width: 32,
			narrow: avx2.wide, narrowWidth: avx2.width,
			each: avx512each[:], eachWidth: 16,
			copyWide: copyRows32avx512, copyNarrow: avx2.copyWide,
			transpose: transpose16avx512, block: 16,
			addTo: addToavx512, lanes: 16,
		})
	}
	all = append(all, &avx2)
	return all
}
