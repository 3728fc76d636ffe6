package launch

import "syscall"

// attributes keep a child from the terminal's signals, which are for the parent,
// and tell it when the parent has ended, however that was.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
