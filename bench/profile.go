package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/gespann/gespann/backend/cpu"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ir"
)

// profile prints the median time of each instruction of a work's programs, run in
// order on memory of their own, in which all inputs are zero but the variables, and of
// a step as a whole, where the backend has one.
func profile(works []*work, o *options) error {
	for _, w := range works {
		m, err := w.build()
		if err != nil {
			return err
		}
		vars := m.Initial(seed)
		programs := []func() (*ir.Program, error){
			func() (*ir.Program, error) { return m.Gradient(false) }, m.Update}
		if w.Optimizer == "" {
			programs = []func() (*ir.Program, error){
				func() (*ir.Program, error) { return m.Forward(false) }}
		}
		if err := profileWork(w, programs, vars, o); err != nil {
			return err
		}
	}
	return nil
}

func profileWork(w *work, programs []func() (*ir.Program, error), vars [][]float32, o *options) error {
	ex := cpu.New(o.threads)
	defer ex.Close()
	var runners []host.Runner
	for _, build := range programs {
		p, err := build()
		if err != nil {
			return err
		}
		p = p.At(w.Batch)
		r, err := ex.Compile(p, memory(p, vars))
		if err != nil {
			return err
		}
		profileProgram(w, p, r, o)
		runners = append(runners, r)
	}
	if len(runners) < 2 {
		return nil
	}
	whole := ex.(host.Stepper).Step(runners[0], runners[1])
	if whole == nil {
		return nil
	}
	times := o.timed(func() {
		whole.Begin()
		whole.ToLoss()
		whole.Finish()
	})
	fmt.Printf("%s, step as a whole, median µs on %d threads\n%9.1f\n", w.Name, o.threads, quantile(times, 0.5))
	return nil
}

func profileProgram(w *work, p *ir.Program, r host.Runner, o *options) {
	times := make([][]float64, len(p.Instrs))
	o.timed(func() {
		for i := range p.Instrs {
			begin := time.Now()
			r.Exec(i)
			times[i] = append(times[i], time.Since(begin).Seconds()*1e6)
		}
	})
	sum := 0.
	fmt.Printf("%s, %s, median µs on %d threads\n", w.Name, p.Name, o.threads)
	for i, ins := range p.Instrs {
		slices.Sort(times[i])
		t := quantile(times[i], 0.5)
		sum += t
		fmt.Printf("%9.1f  %-18s %v %s\n", t, ins.Op, p.Values[ins.Out[0]].Shape, ins.Layer)
	}
	fmt.Printf("%9.1f\n", sum)
}

// timed calls f again and again for all turns, and returns the microseconds of each call,
// sorted.
func (o *options) timed(f func()) []float64 {
	var times []float64
	for start := time.Now(); time.Since(start).Seconds()*1e3 < o.ms*float64(o.rounds); {
		begin := time.Now()
		f()
		times = append(times, time.Since(begin).Seconds()*1e6)
	}
	slices.Sort(times)
	return times
}

// memory lays out a program as a session does.
func memory(p *ir.Program, vars [][]float32) host.Slots {
	plan := ir.PlanMemory(p)
	arena := written(plan.Size)
	s := host.Slots{F: make([][]float32, len(p.Values)), I: make([][]int32, len(p.Values))}
	owned := make([][]float32, len(p.Values))
	for i := range p.Values {
		v := &p.Values[i]
		switch {
		case v.Kind == ir.View:
		case plan.Offset[i] >= 0:
			owned[i] = arena[plan.Offset[i]:][: v.Size() : v.Size()+host.Slack]
		default:
			owned[i] = written(v.Size())
			if v.Kind == ir.Variable {
				copy(owned[i], vars[v.Var])
			}
		}
	}
	for i := range p.Values {
		v, f := &p.Values[i], owned[i]
		if v.Kind == ir.View {
			f = owned[v.Of]
		}
		if v.Type == ir.Int {
			clear(f) // labels are small
			s.I[i] = host.Ints(f)
		} else {
			s.F[i] = f
		}
	}
	return s
}
