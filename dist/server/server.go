// Package server runs a coordinator: it gives the state machine of dist/coord
// connections, tensors, a clock and a disk.
//
// One goroutine owns the machine, and nothing in it waits for a connection or a
// disk. Every connection has a goroutine that reads and one that writes, with a
// bounded queue between; a connection that does not keep up is dropped. Submitted
// jobs are driven from here, one after the other, by a function that the caller
// injects; package jobs keeps them on disk.
package server
