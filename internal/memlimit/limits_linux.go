package memlimit

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limits returns what the machine, the control groups of this process and its resource
// limits leave.
func limits() []Limit { return append(below("/"), resources()...) }

// below returns the limits that the files of a system tell, whose root is at a path.
func below(root string) []Limit {
	var out []Limit
	info, err := fields(filepath.Join(root, "proc/meminfo"))
	if free, ok := info["MemAvailable:"]; err == nil && ok {
		const kib = 1024
		out = append(out, Limit{(free + info["SwapFree:"]) * kib, "this machine has"})
	}
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return out
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[0] == "0":
			out = append(out, groups(filepath.Join(root, "sys/fs/cgroup"), parts[2],
				"memory.max", "memory.current", "")...)
		case strings.Contains(","+parts[1]+",", ",memory,"):
			out = append(out, groups(filepath.Join(root, "sys/fs/cgroup/memory"), parts[2],
				"memory.limit_in_bytes", "memory.usage_in_bytes", "total_")...)
		}
	}
	return out
}

// groups returns what a control group and those around it leave, where cached files
// count as free. In a container the path is often that of the host, and its own group
// at the top.
func groups(mount, path, limit, used, prefix string) []Limit {
	var out []Limit
	for {
		folder := filepath.Join(mount, path)
		most, errMost := number(filepath.Join(folder, limit))
		now, errNow := number(filepath.Join(folder, used))
		// Without a limit version 1 has the largest number of pages.
		if errMost == nil && errNow == nil && most < math.MaxInt64/2 {
			stat, _ := fields(filepath.Join(folder, "memory.stat"))
			cache := stat[prefix+"inactive_file"] + stat[prefix+"active_file"]
			out = append(out, Limit{most - now + cache, "the control group of this process has"})
		}
		if path == "/" || path == "." || path == "" {
			return out
		}
		path = filepath.Dir(path)
	}
}

// resources returns what ulimit leaves.
func resources() []Limit {
	status, err := fields("/proc/self/status")
	if err != nil {
		return nil
	}
	var out []Limit
	for _, r := range []struct {
		kind        int
		taken, name string
	}{{unix.RLIMIT_AS, "VmSize:", "ulimit -v leaves"}, {unix.RLIMIT_DATA, "VmData:", "ulimit -d leaves"}} {
		var l unix.Rlimit
		if err := unix.Getrlimit(r.kind, &l); err == nil && l.Cur < math.MaxInt64/2 {
			const kib = 1024
			out = append(out, Limit{int64(l.Cur) - status[r.taken]*kib, r.name})
		}
	}
	return out
}

// fields reads lines of a name and a number.
func fields(path string) (map[string]int64, error) {
	text, err := os.ReadFile(path)
	out := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				out[f[0]] = n
			}
		}
	}
	return out, err
}

var errNoLimit = errors.New("no limit")

// number reads a number, "max" being none.
func number(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	word := strings.TrimSpace(string(text))
	if word == "max" {
		return 0, errNoLimit
	}
	return strconv.ParseInt(word, 10, 64)
}
