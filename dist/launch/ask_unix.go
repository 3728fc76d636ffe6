//go:build unix

package launch

import (
	"os"
	"syscall"
)

// ask asks a process to end.
func ask(p *os.Process) { p.Signal(syscall.SIGTERM) }
