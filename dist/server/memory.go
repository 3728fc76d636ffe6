package server

import (
	"bytes"
	"os"
	"strconv"
)

// defaultMemory is taken for the memory of a machine that does not say.
const defaultMemory = 8 << 30

// machineMemory returns the bytes of memory that this process may have: those of
// the machine, or of its container if that has less.
func machineMemory() int64 {
	memory := int64(defaultMemory)
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		fields := bytes.Fields(text) // MemTotal: 16384 kB
		if len(fields) > 1 {
			if kB, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
				memory = kB << 10
			}
		}
	}
	if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if max, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil {
			memory = min(memory, max)
		}
	}
	return memory
}
