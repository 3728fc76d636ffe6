package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
)

// besideStranger times ours on one thread and on o.threads, with the machine to
// itself and with a stranger: a process that only burns one processor. A step on
// several threads should then not take longer than one on a single thread.
func besideStranger(works []*work, o *options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var all []*contestant
	for range 2 {
		c, err := enter("", nil, self, "-serve", "gespann")
		if err != nil {
			return err
		}
		defer c.leave()
		all = append(all, c)
	}
	fmt.Println(measureLoad(o.threads))
	for _, w := range works {
		times, err := stranger(w, self, all, o)
		if err != nil {
			return err
		}
		var cells [4]string
		for i := range times {
			slices.Sort(times[i])
			cells[i] = spread(times[i])
		}
		fmt.Printf("%-18s alone: 1 thread %s, %d threads %s; beside a stranger: %s, %s: ratio %.2f\n", w.Name,
			cells[0], o.threads, cells[1], cells[2], cells[3], mean(times[3])/mean(times[2]))
	}
	return nil
}

// stranger returns the times of one and of more threads without a stranger, and of
// both with one.
func stranger(w *work, self string, all []*contestant, o *options) (times [4][]float64, err error) {
	for i, c := range all {
		w.Threads = []int{1, o.threads}[i]
		if _, err := c.ask(request{Work: w}); err != nil {
			return times, fmt.Errorf("%s: %w", w.Name, err)
		}
	}
	for range o.rounds {
		for _, beside := range []int{0, 2} {
			if beside > 0 {
				spinner := exec.Command(self, "-serve", "stranger")
				if err := spinner.Start(); err != nil {
					return times, err
				}
				defer spinner.Process.Kill() // also where a turn goes wrong
				err = turns(all, times[beside:], o.ms)
				spinner.Process.Kill()
				spinner.Wait() // it was killed
			} else {
				err = turns(all, times[:2], o.ms)
			}
			if err != nil {
				return times, err
			}
		}
	}
	return times, nil
}

// turns lets each contestant take a turn, and adds what its steps took.
func turns(all []*contestant, times [][]float64, ms float64) error {
	for i, c := range all {
		a, err := c.ask(request{MS: ms})
		if err != nil {
			return err
		}
		times[i] = append(times[i], a.Times...)
	}
	return nil
}

func mean(times []float64) float64 {
	sum := 0.
	for _, t := range times {
		sum += t
	}
	return sum / float64(len(times))
}

// burn keeps a processor busy for ever.
func burn() {
	x := 0.
	for x >= 0 {
		x += work64()
	}
}
