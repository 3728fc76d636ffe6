package main

import (
	"fmt"
	"os"
	"strings"
)

// others is what all processors have done since some moment, in the kernel's ticks:
// in all, and for other processes than this one.
type others struct{ total, busy float64 }

// busyOthers reads it; where the kernel does not say it, all is zero.
func busyOthers() (o others) {
	t, ok := processorTimes()
	own, ok2 := ownTime()
	if ok && ok2 {
		o = others{float64(t.total), float64(t.total) - float64(t.idle) - own}
	}
	return o
}

// since is the share of the processors' time that others have had.
func (o others) since(before others) float64 {
	if o.total <= before.total {
		return 0
	}
	return (o.busy - before.busy) / (o.total - before.total)
}

// ownTime is what this process has taken, in ticks: fields 14 and 15 of Linux's
// /proc/self/stat, the second of which, its name, may have blanks but ends with the
// last parenthesis.
func ownTime() (ticks float64, ok bool) {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, false
	}
	after := string(text[strings.LastIndexByte(string(text), ')')+1:])
	fields := strings.Fields(after)
	const utime, stime = 14 - 3, 15 - 3
	if len(fields) <= stime {
		return 0, false
	}
	var user, system float64
	n, _ := fmt.Sscan(fields[utime]+" "+fields[stime], &user, &system)
	return user + system, n == 2
}
