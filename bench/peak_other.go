//go:build !amd64

package main

// multiplyAdds is for processors that have kernels in assembly.
func multiplyAdds() (f func(n int), flops float64) { return nil, 0 }
