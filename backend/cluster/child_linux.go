package cluster

import "syscall"

// attributes keep a child from the terminal's signals, which are for the parent,
// and let it end with the parent, however that ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
