package rpc

import (
	"net"

	"golang.org/x/sys/unix"
)

// process returns the process ID of the other side of a unix socket, or 0.
func (l *line) process() int {
	pid, _, _ := ownerOf(l.Conn)
	return pid
}

// ownerOf returns whose process is at the other side of a unix socket, as the kernel
// tells: of who listens, whose it was when it began to.
func ownerOf(c net.Conn) (pid, uid int, ok bool) {
	if w, is := c.(*witness); is {
		c = w.Conn
	}
	u, is := c.(*net.UnixConn)
	if !is {
		return 0, 0, false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, 0, false
	}
	_ = raw.Control(func(fd uintptr) { // fails when closed: as good as nobody there
		if who, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid, uid, ok = int(who.Pid), int(who.Uid), true
		}
	})
	return pid, uid, ok
}
