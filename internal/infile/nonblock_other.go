//go:build !unix

package infile

// nonblock is nothing here: there are no pipes among files.
const nonblock = 0
