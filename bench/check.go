package main

import (
	"fmt"
	"os"
	"slices"
)

// slower is the least ratio of two builds' times that counts as a regression, and
// agree the share of rounds that must show one: medians of pairs of turns differ
// by some per cent between equal builds.
const (
	slower = 1.08
	agree  = 0.75
)

// freshRounds is how many rounds two processes last. Where a build's memory happens
// to lie is worth some per cent, so that others take over.
const freshRounds = 3

// check races this build against another one, of an earlier commit, and fails
// where this one is slower beyond noise: in the median of the rounds' ratios, and
// in most rounds.
func check(works []*work, o *options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Println(measureLoad(o.threads))
	var bad []string
	for _, w := range works {
		var ratios []float64
		for len(ratios) < o.rounds {
			more, err := compare(w, [2]string{self, o.against}, o.plan)
			if err != nil {
				return err
			}
			ratios = append(ratios, more...)
		}
		slices.Sort(ratios)
		over := 0
		for _, r := range ratios {
			if r > 1 {
				over++
			}
		}
		median := quantile(ratios, 0.5)
		fmt.Printf("%-18s this build takes %.3f of the other's time (%.3f to %.3f)\n", w.Name, median,
			quantile(ratios, 0.1), quantile(ratios, 0.9))
		if median > slower && float64(over) >= agree*float64(len(ratios)) {
			bad = append(bad, w.Name)
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("slower than the other build: %v", bad)
	}
	return nil
}

// compare starts the two builds and returns the ratios of the first one's median
// step and the second's, of each round. Who goes first alternates.
func compare(w *work, builds [2]string, p plan) ([]float64, error) {
	var all [2]*contestant
	for i, path := range builds {
		c, err := enter("", nil, path, "-serve", "gespann")
		if err != nil {
			return nil, err
		}
		defer c.leave()
		if _, err := c.ask(request{Work: w}); err != nil {
			return nil, fmt.Errorf("%s: %w", w.Name, err)
		}
		all[i] = c
	}
	var ratios []float64
	for round := range freshRounds + 1 { // the first warms up
		var median [2]float64
		for k := range 2 {
			i := k ^ round&1
			a, err := all[i].ask(request{MS: p.ms})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.Name, err)
			}
			slices.Sort(a.Times)
			median[i] = quantile(a.Times, 0.5)
		}
		if round > 0 {
			ratios = append(ratios, median[0]/median[1])
		}
	}
	return ratios, nil
}
