package main

import (
	"fmt"
	"math"
	"os"
	"slices"
)

// slower is the least ratio of two builds' times that counts as a regression, and
// agree the share of rounds that must show one: medians of pairs of turns differ
// by some per cent between equal builds.
const (
	slower = 1.07
	agree  = 0.75
)

// check races this build against another one, of an earlier commit, and fails
// where this one is slower beyond noise: in the median of the rounds' ratios, and
// in most rounds.
func check(works []*work, o *options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var all []*contestant
	for _, path := range []string{self, o.against} {
		c, err := enter("", nil, path, "-serve", "gespann")
		if err != nil {
			return err
		}
		defer c.leave()
		all = append(all, c)
	}
	fmt.Println(measureLoad(o.threads))
	var bad []string
	for _, w := range works {
		ratios, err := compare(w, all, o.plan)
		if err != nil {
			return err
		}
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

// compare returns the sorted ratios of this build's and the other's median step, of
// each round. Who goes first alternates.
func compare(w *work, all []*contestant, p plan) ([]float64, error) {
	for _, c := range all {
		if _, err := c.ask(request{Work: w}); err != nil {
			return nil, fmt.Errorf("%s: %w", w.Name, err)
		}
	}
	var ratios []float64
	for round := range p.rounds + 1 {
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
		if ratio := median[0] / median[1]; round > 0 && !math.IsNaN(ratio) {
			ratios = append(ratios, ratio)
		}
	}
	slices.Sort(ratios)
	return ratios, nil
}
