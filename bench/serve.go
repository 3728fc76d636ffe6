package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"
)

// Contestants are processes that read requests and write answers, a line of JSON
// each. A request either names a work, and is answered when that is ready, or asks
// for a turn: steps in one of the contestant's modes for so many milliseconds.
type (
	request struct {
		Work *work   `json:"work,omitempty"`
		Mode string  `json:"mode,omitempty"`
		MS   float64 `json:"ms,omitempty"`
	}
	answer struct {
		Error string    `json:"error,omitempty"`
		Name  string    `json:"name,omitempty"`  // of the contestant, with its version
		Modes []string  `json:"modes,omitempty"` // ways to take a step
		Loss  float64   `json:"loss,omitempty"`  // of the first batch, by inference
		Times []float64 `json:"times,omitempty"` // of the steps of a turn, in milliseconds
	}
)

// An engine takes steps of one work.
type engine interface {
	step() error
	loss() (float64, error)
	close()
}

// serve makes this process a contestant.
func serve(name string, newEngine func(w *work) (engine, error), in io.Reader, out io.Writer) error {
	scan := bufio.NewScanner(in)
	scan.Buffer(nil, 1<<20)
	var e engine
	for scan.Scan() {
		var r request
		if err := json.Unmarshal(scan.Bytes(), &r); err != nil {
			return err
		}
		var a answer
		var err error
		switch {
		case r.Work != nil:
			if e != nil {
				e.close()
			}
			if e, err = newEngine(r.Work); err == nil {
				a = answer{Name: name, Modes: []string{""}}
				a.Loss, err = e.loss()
			}
		case r.MS > 0:
			a.Times, err = turn(e, r.MS)
		default: // are you there?
			a.Name = name
		}
		if err != nil {
			a = answer{Error: err.Error()}
			e = nil
		}
		line, err := json.Marshal(a)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
			return err
		}
	}
	if e != nil {
		e.close()
	}
	return scan.Err()
}

// warm is the number of steps at the start of a turn that do not count: the others
// have had the caches.
const warm = 2

// turn takes steps for so many milliseconds, and returns what each took.
func turn(e engine, ms float64) ([]float64, error) {
	if e == nil {
		return nil, fmt.Errorf("no work")
	}
	runtime.GC()
	var times []float64
	for sum := 0.; sum < ms || len(times) <= warm; {
		start := time.Now()
		if err := e.step(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start).Seconds()*1e3)
		sum += times[len(times)-1]
	}
	return times[warm:], nil
}
