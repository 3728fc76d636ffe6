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
		name:   "avx2",
		panel:  panel{16, avx2x16[:], copyRows16avx2},
		packs:  true,
		narrow: []panel{{8, avx2x8[:], copyRows8avx2}},
		each:   avx2each[:], eachWidth: 8,
		transpose: transpose8avx2, block: 8,
		copyStrip: copyStripavx2,
		addTo:     addToavx2, lanes: 8,
		lift: transforms{lift4avx2, lift2avx2, lift3avx2, drop2avx2, drop3avx2, dropMaxavx2, 8},
	}
	if x.HasAVX512F && x.HasAVX512VL && x.HasBMI2 {
		all = append(all, &path{
			name:  "avx512",
			panel: panel{32, avx512x32[:], copyRows32avx512},
			packs: true,
			narrow: []panel{
				{8, avx512x8[:], copyRows8avx2},
				{16, avx512x16[:], copyRows16avx2},
			},
			each: avx512each[:], eachWidth: 16,
			transpose: transpose16avx512, block: 16,
			copyStrip: copyStripavx512,
			addTo:     addToavx512, lanes: 16,
			lift: transforms{lift4avx512, lift2avx512, lift3avx512, drop2avx512, drop3avx512, dropMaxavx512, 16},
		})
	}
	all = append(all, &avx2)
	return all
}

// pairsPath returns the path of products of pairs, or nil where this machine has none, and
// whether it is the faster one. On AMD's processors, since Zen 4, VDPBF16PS is reported to
// do twice the products of fused multiply-adds, which is not measured here. On Intel's it
// does half of them: on an Emerald Rapids 45 against 89 billion a second, of which products
// of matrices reach 43 and 81.
//
// Source for Zen 4: github.com/iree-org/iree, pull request 15089.
func pairsPath() (p *path, faster bool) {
	x := &cpu.X86
	if !x.HasAVX512BF16 || !x.HasAVX512VL || !x.HasBMI2 {
		return nil, false
	}
	const amd = 'e' | 'n'<<8 | 't'<<16 | 'i'<<24 // AuthenticAMD
	return &path{
		name:  "avx512_bf16",
		panel: panel{32, pairs32[:], copyRows32avx512},
		packs: true,
		narrow: []panel{
			{8, pairs8[:], copyRows8avx2},
			{16, pairs16[:], copyRows16avx2},
		},
		transpose: transpose16avx512, block: 16,
		copyStrip: copyStripavx512,
		addTo:     addToavx512, lanes: 16,
	}, vendor() == amd
}
