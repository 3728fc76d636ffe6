package rpc

import (
	"net"

	"golang.org/x/sys/unix"
)

// process returns the process ID of the other side of a unix socket, or 0.
func (l *line) process() int {
	c := l.Conn
	if w, ok := c.(*witness); ok {
		c = w.Conn
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) { // fails when closed: as good as nobody there
		if who, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(who.Pid)
		}
	})
	return pid
}
