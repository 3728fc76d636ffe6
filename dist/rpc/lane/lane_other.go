//go:build !linux

package lane

import (
	"os"
	"sync/atomic"
	"time"
)

// New returns ErrUnsupported.
func New() (*Lane, *os.File, error) { return nil, nil, ErrUnsupported }

// Open returns ErrUnsupported.
func Open(pid, fd int) (*Lane, error) { return nil, ErrUnsupported }

func unmap([]byte)                                {}
func sleep(*atomic.Uint32, uint32, time.Duration) {}
func rouse(*atomic.Uint32)                        {}
