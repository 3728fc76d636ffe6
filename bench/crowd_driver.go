package main

import (
	"errors"
	"slices"
	"time"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// A crowdRun is what a training loop says to the coordinator.
type crowdRun struct {
	conn dist.Conn
	job  wire.Job
	done int64
}

// hearFor returns the next message of a kind.
func hearFor[M wire.Message](conn dist.Conn) (M, error) {
	var none M
	for {
		f, err := conn.Recv()
		if err != nil {
			return none, err
		}
		if f.Done != nil {
			f.Done()
		}
		switch m := f.Message.(type) {
		case M:
			return m, nil
		case *wire.Fault:
			return none, errors.New(m.Err)
		case *wire.Lost:
			return none, errors.New(m.Reason)
		case *wire.Dismiss:
			return none, errors.New(m.Reason)
		}
	}
}

// attach begins a job of crowdSteps steps an epoch.
func attach(conn dist.Conn, strategy string, workers int) (*crowdRun, error) {
	params := map[string]float64(nil)
	if strategy == "adag" {
		params = map[string]float64{"window": 4}
	}
	r := &crowdRun{conn: conn, job: wire.Job{
		ID: "crowd-" + strategy, Name: "crowd", Spec: []byte("spec"), BatchSize: 8000, Accumulate: 1, Strategy: strategy, Params: params,
		Workers: workers, Rows: [3]int{8000 * crowdSteps, 0, 0}, Epochs: 1000, DataFrom: "local", Digest: "rows",
		Vars: []wire.Var{{Name: "w", Shape: []int{crowdVars}, Role: "param"}}}}
	if err := conn.Send(wire.Frame{Message: &wire.Attach{Protocol: wire.Protocol, Job: r.job}}); err != nil {
		return nil, err
	}
	if _, err := hearFor[*wire.Attached](conn); err != nil {
		return nil, err
	}
	if err := conn.Send(wire.Frame{Message: &wire.Restore{}, Floats: make([]float32, crowdVars)}); err != nil {
		return nil, err
	}
	_, err := hearFor[*wire.Restored](conn)
	return r, err
}

// crowdSteps is the number of steps of an epoch.
const crowdSteps = 16_000

// span trains some steps, and returns how long that took.
func (r *crowdRun) span(steps int) (time.Duration, error) {
	epoch, first := int(r.done/crowdSteps), int(r.done%crowdSteps)
	m := &wire.Train{Steps: crowdSteps, Span: wire.Span{Epoch: epoch, First: first, Last: first + steps, Done: r.done,
		Rates: slices.Repeat([]float32{0.01}, steps)}}
	if first > 0 {
		rows := int64(first * r.job.BatchSize)
		m.Sums = wire.Stats{Rows: rows, Loss: wire.Number(rows)}
	}
	began := time.Now()
	if err := r.conn.Send(wire.Frame{Message: m}); err != nil {
		return 0, err
	}
	t, err := hearFor[*wire.Trained](r.conn)
	if err == nil {
		r.done = t.At.Done
	}
	return time.Since(began), err
}
