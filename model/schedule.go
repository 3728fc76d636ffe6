package model

import (
	"math"

	"github.com/gespann/gespann/model/spec"
)

// A Schedule gives the learning rate of every optimiser step.
type Schedule struct {
	base   float64
	lowest float64 // the rate does not fall below this
	warmup int64
	decay  func(step float64) float64 // factor for a step counted from the end of warm-up
}

// NewSchedule returns the schedule of a run of so many optimiser steps.
func NewSchedule(s *spec.Spec, steps int64) *Schedule {
	o, _ := newOptimizer(s.Optimizer.Params)
	out := &Schedule{base: o.rate, decay: func(float64) float64 { return 1 }}
	switch p := s.Train.Schedule.Params.(type) {
	case *spec.Constant:
		out.warmup = int64(p.WarmupSteps)
	case *spec.StepDecay:
		out.warmup = int64(p.WarmupSteps)
		out.decay = func(t float64) float64 {
			return math.Pow(p.Factor, math.Floor(t/float64(p.StepSize)))
		}
	case *spec.Exponential:
		out.warmup = int64(p.WarmupSteps)
		out.decay = exponential(p)
	case *spec.Cosine:
		out.warmup = int64(p.WarmupSteps)
		out.decay = cosine(p, steps)
	case *spec.ReduceOnPlateau:
		out.warmup, out.lowest = int64(p.WarmupSteps), p.MinLearningRate
	}
	return out
}

func exponential(p *spec.Exponential) func(float64) float64 {
	return func(t float64) float64 {
		t /= float64(p.DecaySteps)
		if p.Staircase {
			t = math.Floor(t)
		}
		return math.Pow(p.DecayRate, t)
	}
}

// cosine: alpha + (1−alpha)·(1+cos(π·t/T))/2, and alpha from step T on.
func cosine(p *spec.Cosine, total int64) func(float64) float64 {
	steps := float64(p.DecaySteps)
	if p.DecaySteps == 0 {
		steps = float64(max(total-int64(p.WarmupSteps), 1))
	}
	return func(t float64) float64 {
		return p.Alpha + (1-p.Alpha)*(1+math.Cos(math.Pi*min(t/steps, 1)))/2
	}
}

// Base returns the learning rate that the schedule starts from: the optimizer's.
func (s *Schedule) Base() float32 { return float32(s.base) }

// Rate returns the learning rate of a step, counted from 0:
//
//	max(base·factor, min)·step/warmup         while step < warmup
//	max(base·decay(step−warmup)·factor, min)  afterwards
//
// so the first step of a warm-up has rate 0, and step warmup the whole rate, as in
// Keras's CosineDecay with a warm-up from 0. Factor is what reduce_on_plateau has
// multiplied so far, else 1; it also holds during warm-up.
func (s *Schedule) Rate(step int64, factor float64) float32 {
	if step < s.warmup {
		full := max(s.base*factor, min(s.lowest, s.base))
		return float32(full * float64(step) / float64(s.warmup))
	}
	rate := s.base * s.decay(float64(step-s.warmup)) * factor
	return float32(max(rate, min(s.lowest, s.base)))
}
