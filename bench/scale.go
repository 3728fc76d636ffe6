package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// strangersMax is the share of the machine that other processes may have in a
	// turn: with two processors, a seventh of one.
	strangersMax = 0.07
	retriesMax   = 8
)

// A sweep lets one size of a model grow while the others stay.
type sweep struct {
	title, x, y string
	points      []int
	work        func(x int) *work
	// value turns the median time of a step, in milliseconds, into what is drawn.
	value func(x int, ms float64) float64
	// limit, if not nil, is what is drawn at best, given the peak of multiply-adds in
	// FLOP/s and what is drawn at the first point; limitName says what it is.
	limit     func(x int, peak, first float64) float64
	limitName string
	// linearX and linearY scale the axes, y from zero; else they are logarithmic.
	linearX, linearY bool

	times [][]float64 // by point
}

// sweeps returns what drawScale draws.
func sweeps(threads int) []*sweep {
	mlp := func(batch, width, depth, threads int) *work {
		units := append(slices.Repeat([]int{width}, depth), 10)
		return &work{Name: fmt.Sprintf("batch %d width %d depth %d", batch, width, depth), Input: []int{width},
			Classes: 10, Batch: batch, Optimizer: "sgd", Layers: perceptron(units...), Threads: threads}
	}
	// Products forward, for the weights and for the input, which the first layer's do
	// not need.
	flops := func(batch, width, depth int) float64 {
		return 2 * float64(batch) * float64((3*depth-1)*width*width+3*10*width)
	}
	doubling := func(from, to int) (all []int) {
		for ; from <= to; from *= 2 {
			all = append(all, from)
		}
		return all
	}
	all := make([]int, threads)
	for i := range all {
		all[i] = i + 1
	}
	const peakName = "multiply-adds of registers"
	return []*sweep{
		{title: "Batch: two layers of 512", x: "rows of a batch", y: "µs per row", points: doubling(1, 4096),
			work:  func(x int) *work { return mlp(x, 512, 2, threads) },
			value: func(x int, ms float64) float64 { return 1e3 * ms / float64(x) },
			limit: func(_ int, peak, _ float64) float64 { return 1e6 * flops(1, 512, 2) / peak }, limitName: peakName},
		{title: "Width: two layers, batch 128", x: "units of a layer", y: "GF/s of the products", points: doubling(32, 4096),
			work:  func(x int) *work { return mlp(128, x, 2, threads) },
			value: func(x int, ms float64) float64 { return flops(128, x, 2) / ms / 1e6 },
			limit: func(_ int, peak, _ float64) float64 { return peak / 1e9 }, limitName: peakName},
		{title: "Depth: layers of 128, batch 128", x: "layers", y: "µs per layer", points: []int{2, 5, 10, 20, 50, 100, 200},
			work:    func(x int) *work { return mlp(128, 128, x, threads) },
			value:   func(x int, ms float64) float64 { return 1e3 * ms / float64(x) },
			linearY: true},
		{title: "Threads: three layers of 1024, batch 256", x: "threads", y: "steps per second", points: all,
			work:  func(x int) *work { return mlp(256, 1024, 3, x) },
			value: func(_ int, ms float64) float64 { return 1e3 / ms },
			limit: func(x int, _, first float64) float64 { return first * float64(x) }, limitName: "as many times one thread",
			linearX: true, linearY: true},
	}
}

// drawScale measures how the cost of a step grows, and writes a picture, and the
// numbers beside it; or with -profile prints where each point spends its time.
func drawScale(o *options) error {
	all := sweeps(o.threads)
	if o.profile {
		return profileScale(all, o)
	}
	before := measureLoad(o.threads)
	peak := peakOf(o)
	disturbed := 0
	for range o.rounds { // spread over the whole time
		for _, s := range all {
			n, err := s.round(o.ms)
			if err != nil {
				return err
			}
			disturbed += n
		}
	}
	for _, s := range all {
		for i, x := range s.points {
			slices.Sort(s.times[i])
			fmt.Printf("%-42s %5d  %10.3f ms  %8.4g %s\n", s.title, x, quantile(s.times[i], 0.5), s.at(i), s.y)
		}
	}
	peak = max(peak, peakOf(o)) // the quieter moment
	where := fmt.Sprintf("%s, %d threads, %s, %s", processor(), o.threads, runtime.Version(), time.Now().Format(time.DateOnly))
	fmt.Printf("%s; multiply-adds of registers %.0f GF/s; %d turns of a point were disturbed to the end. "+
		"Load before: %v; after: %v.\n", where, peak/1e9, disturbed, before, measureLoad(o.threads))
	if err := writeNumbers(strings.TrimSuffix(o.scale, ".png")+".csv", all); err != nil {
		return err
	}
	return writePicture(o.scale, where, peak, all)
}

// peakOf measures plain multiply-adds on all threads, in FLOP/s; 0 where there are
// no kernels for it.
func peakOf(o *options) float64 {
	peak, flops := multiplyAdds()
	if peak == nil {
		return 0
	}
	return flops * float64(o.threads) * rate64(o.ms, 1<<20, func(n int) { onThreads(o.threads, func() { peak(n) }) })
}

// profileScale profiles the points of the sweeps whose titles begin as -works says.
func profileScale(all []*sweep, o *options) error {
	for _, s := range all {
		if !strings.HasPrefix(strings.ToLower(s.title), o.works) {
			continue
		}
		for _, x := range s.points {
			o := *o
			w := s.work(x)
			o.threads = w.Threads
			if err := profile([]*work{w}, &o); err != nil {
				return err
			}
		}
	}
	return nil
}

// round takes a turn at each point. It returns how many were disturbed.
func (s *sweep) round(ms float64) (disturbed int, err error) {
	if s.times == nil {
		s.times = make([][]float64, len(s.points))
	}
	for i, x := range s.points {
		calm, err := s.measure(i, x, ms)
		if err != nil {
			return disturbed, err
		}
		if !calm {
			disturbed++
		}
	}
	return disturbed, nil
}

// measure takes a turn at one point, and reports whether it was calm. A turn during
// which others took more than strangersMax of the machine does not count, and is taken
// again, retriesMax times, a little later.
func (s *sweep) measure(i, x int, ms float64) (calm bool, err error) {
	e, err := newGespannEngine(s.work(x))
	if err != nil {
		return false, err
	}
	defer e.close()
	for try := range retriesMax {
		before := busyOthers()
		times, err := turn(e, ms)
		if err != nil {
			return false, err
		}
		calm = busyOthers().since(before) <= strangersMax
		if calm || try == retriesMax-1 {
			s.times[i] = append(s.times[i], times...)
			break
		}
		time.Sleep(time.Duration(try+1) * 100 * time.Millisecond)
	}
	return calm, nil
}

// at returns what is drawn at a point.
func (s *sweep) at(i int) float64 { return s.value(s.points[i], quantile(s.times[i], 0.5)) }

func writeNumbers(path string, all []*sweep) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := csv.NewWriter(f)
	w.Write([]string{"sweep", "x", "ms_p10", "ms", "ms_p90", "drawn", "unit"})
	for _, s := range all {
		for i, x := range s.points {
			row := []string{s.title, strconv.Itoa(x)}
			for _, q := range []float64{0.1, 0.5, 0.9} {
				row = append(row, strconv.FormatFloat(quantile(s.times[i], q), 'g', 4, 64))
			}
			w.Write(append(row, strconv.FormatFloat(s.at(i), 'g', 4, 64), s.y))
		}
	}
	w.Flush()
	return w.Error()
}
