package web

import (
	"fmt"
	"os"
	"syscall"
)

// system tells what Linux knows of this process.
func (e *exposition) system() {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		e.one("process_cpu_seconds_total", "counter", "Time of processors that the process has used.",
			float64(used.Utime.Nano()+used.Stime.Nano())/1e9)
	}
	var size, resident int64
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if _, err := fmt.Sscan(string(text), &size, &resident); err == nil {
			page := int64(os.Getpagesize())
			e.one("process_resident_memory_bytes", "gauge", "Memory of the process.", float64(resident*page))
			e.one("process_virtual_memory_bytes", "gauge", "Addresses of the process.", float64(size*page))
		}
	}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		e.one("process_open_fds", "gauge", "Open files and connections.", float64(len(files)-1)) // one reads that
	}
	var most syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &most) == nil {
		e.one("process_max_fds", "gauge", "How many there may be.", float64(most.Cur))
	}
}
