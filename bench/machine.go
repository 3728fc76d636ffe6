package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// A load says how much of the machine a race has.
type load struct {
	threads int
	speedup float64 // of that many spinning threads over one
	busy    float64 // share of all processors in use while this process slept
	stolen  float64 // share that the hypervisor gave to others meanwhile
}

// measureLoad watches the machine for a moment, and then loads it.
func measureLoad(threads int) load {
	l := load{threads: threads}
	before, ok := processorTimes()
	time.Sleep(300 * time.Millisecond)
	if after, ok2 := processorTimes(); ok && ok2 && after.total > before.total {
		all := float64(after.total - before.total)
		l.busy = 1 - float64(after.idle-before.idle)/all
		l.stolen = float64(after.stolen-before.stolen) / all
	}
	one := spin(1)
	l.speedup = spin(threads) / one
	return l
}

// idle reports whether figures of this moment are worth quoting. The bounds allow
// for the race's own parent process and for timer interrupts.
func (l load) idle() bool {
	return l.busy < 0.1 && l.stolen < 0.05 && l.speedup > 0.9*float64(l.threads)
}

func (l load) String() string {
	s := fmt.Sprintf("%d spinning threads did %.2f times the work of one; before, %.0f %% of the "+
		"processors were busy and %.0f %% taken by the host", l.threads, l.speedup, 100*l.busy, 100*l.stolen)
	if !l.idle() {
		s = "NOT IDLE: " + s
	}
	return s
}

// spin lets threads count for a while, and returns how far they come together. It
// takes the best of three: a short disturbance is not a neighbour.
func spin(threads int) float64 {
	best := 0.
	for range 3 {
		var wait sync.WaitGroup
		counts := make([]float64, threads)
		for i := range threads {
			wait.Go(func() {
				for start := time.Now(); time.Since(start) < 60*time.Millisecond; {
					counts[i] += work64()
				}
			})
		}
		wait.Wait()
		sum := 0.
		for _, c := range counts {
			sum += c
		}
		best = max(best, sum)
	}
	return best
}

// work64 is some arithmetic that counts as 1.
func work64() float64 {
	x := 1.
	for range 4096 {
		x = x*0.999 + 0.001
	}
	return x
}

// ticks are sums over all processors, in the kernel's unit.
type ticks struct{ total, idle, stolen uint64 }

// processorTimes reads the first line of Linux's /proc/stat:
//
//	cpu user nice system idle iowait irq softirq steal ...
func processorTimes() (t ticks, ok bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t, false
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var name string
	var v [8]uint64
	n, _ := fmt.Sscan(line, &name, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7])
	for _, x := range v {
		t.total += x
	}
	t.idle, t.stolen = v[3]+v[4], v[7]
	return t, n == len(v)+1
}

// processor returns the model name that Linux knows, or the architecture.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
