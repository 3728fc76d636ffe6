//go:build !amd64 || noasm

package pool

import "runtime"

// pause lets other goroutines run.
func pause(uint32) { runtime.Gosched() }
