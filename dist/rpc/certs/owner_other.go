//go:build !unix

package certs

import "os"

// ownedByRoot reports whether a file is root's: there is no root.
func ownedByRoot(os.FileInfo) bool { return false }
