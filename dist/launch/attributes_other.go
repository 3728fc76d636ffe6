//go:build !unix

package launch

import (
	"os"
	"syscall"
)

// attributes are nothing special.
func attributes() *syscall.SysProcAttr { return nil }

// ask asks a process to end.
func ask(p *os.Process) { p.Kill() }
