// Package memlimit says how much memory a process may still take, so that what does not
// fit is refused with its size: the Go runtime ends the process where there is none,
// and Linux kills it.
package memlimit

import (
	"fmt"
	"runtime/debug"
)

// A Limit is memory that is left, in bytes, and who gives it.
type Limit struct {
	Bytes int64
	Who   string // "this machine has"
}

// A ShortError says that there is less memory than is needed.
type ShortError struct {
	Need int64
	Have Limit
}

func (e *ShortError) Error() string {
	return fmt.Sprintf("out of memory: it takes %s, and %s %s to give", Text(e.Need), e.Have.Who, Text(e.Have.Bytes))
}

// Least returns the limit that leaves least; false: nothing is known.
func Least() (Limit, bool) { return least(limits()) }

func least(all []Limit) (Limit, bool) {
	min, ok := Limit{}, false
	for _, l := range all {
		if !ok || l.Bytes < min.Bytes {
			min, ok = l, true
		}
	}
	return min, ok
}

// Check returns a *ShortError where so many bytes more cannot be had. What is unknown
// is no limit.
func Check(need int64) error { return check(need, limits) }

func check(need int64, limits func() []Limit) error {
	for again := false; ; again = true {
		least, ok := least(limits())
		switch {
		case !ok || need <= max(least.Bytes, 0):
			return nil
		case again:
			least.Bytes = max(least.Bytes, 0)
			return &ShortError{need, least}
		}
		debug.FreeOSMemory() // what is garbage counts as taken
	}
}

// Text is a number of bytes in words: 1.5 GiB.
func Text(bytes int64) string {
	const unit = 1024
	if bytes < unit {
		return fmt.Sprintf("%d bytes", bytes)
	}
	x, i := float64(bytes)/unit, 0
	for ; x >= unit-0.05 && i < 4; i++ {
		x /= unit
	}
	return fmt.Sprintf("%.1f %ciB", x, "KMGTP"[i])
}
