//go:build !amd64 || noasm

package gemm

// assembly returns no path: there is none for this architecture.
func assembly() []*path { return nil }

// pairsPath returns no path.
func pairsPath() (p *path, faster bool) { return nil, false }
