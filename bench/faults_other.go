//go:build !linux

package main

import "errors"

// injectFaults needs signals, /proc and network namespaces.
func injectFaults(*options) error { return errors.New("-faults: only on Linux") }
