//go:build !linux

package main

import "errors"

// injectFaults needs signals, /proc and network namespaces.
func injectFaults(*options) error { return errors.New("-faults: only on Linux") }

// measureGoodput needs them, too.
func measureGoodput(*options) error { return errors.New("-goodput: only on Linux") }
