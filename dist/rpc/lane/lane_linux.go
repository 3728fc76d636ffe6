package lane

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A layout is the shared memory: this, and behind it the data of both rings.
type layout struct {
	end   atomic.Uint32
	_     [124]byte
	rings [2]control
}

const (
	page = 64 << 10 // a multiple of any machine's
	size = page + 2*Room
	// seals keep the other process from taking away memory that is mapped here.
	seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
)

var _ [page - unsafe.Sizeof(layout{})]struct{} // it fits

// New makes a lane. Another process opens its other end by this one's process ID
// and the number of the file, which may be closed when it has.
func New() (*Lane, *os.File, error) {
	fd, err := unix.MemfdCreate("gespann-lane", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil, fmt.Errorf("lane: memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "gespann-lane")
	err = f.Truncate(size)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
	}
	var l *Lane
	if err == nil {
		l, err = mapped(f, 0)
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("lane: memory: %w", err)
	}
	return l, f, nil
}

// Open opens the other end of a lane that the process pid has made.
func Open(pid, fd int) (*Lane, error) {
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/%d", pid, fd), os.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("lane: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("lane: %w", err)
	}
	if has, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || has&seals != seals || info.Size() != size {
		return nil, errors.New("lane: that file of the other process is none")
	}
	return mapped(f, 1)
}

// mapped returns the end that writes to the given ring.
func mapped(f *os.File, writes int) (*Lane, error) {
	memory, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	runtime.KeepAlive(f)
	if err != nil {
		return nil, fmt.Errorf("lane: %w", err)
	}
	at := (*layout)(unsafe.Pointer(unsafe.SliceData(memory)))
	ringOf := func(i int) ring {
		from := page + i*Room
		return ring{&at.rings[i], memory[from : from+Room : from+Room]}
	}
	return &Lane{memory: memory, end: &at.end, out: ringOf(writes), in: ringOf(1 - writes)}, nil
}

func unmap(memory []byte) { _ = unix.Munmap(memory) } // it was mapped

const (
	futexWait = 0
	futexWake = 1
)

// sleep returns when the word is woken or is not as given, or after d.
func sleep(word *atomic.Uint32, is uint32, d time.Duration) {
	limit := unix.NsecToTimespec(int64(d))
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait, uintptr(is),
		uintptr(unsafe.Pointer(&limit)), 0, 0)
}

// rouse wakes who sleeps on a word.
func rouse(word *atomic.Uint32) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, 1<<30, 0, 0, 0)
}
