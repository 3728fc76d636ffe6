//go:build unix && !linux

package launch

import "syscall"

// attributes keep a child from the terminal's signals, which are for the parent.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
