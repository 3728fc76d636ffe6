//go:build !noasm

package pool

// pause executes n PAUSE instructions, n ≥ 1: it tells the core that this is a
// spin loop.
//
//go:noescape
func pause(n uint32)
