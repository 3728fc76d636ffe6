//go:build !unix

package cluster

import "syscall"

// attributes are nothing special.
func attributes() *syscall.SysProcAttr { return nil }
