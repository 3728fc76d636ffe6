package main

import (
	"encoding/csv"
	"fmt"
	"image/color"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// A sweep lets one size of a model grow while the others stay.
type sweep struct {
	title, x, y string
	points      []int
	work        func(x int) *work
	// value turns the median time of a step, in milliseconds, into what is drawn.
	value  func(x int, ms float64) float64
	linear bool // scales; else both are logarithmic

	times [][]float64 // by point
}

// sweeps returns what drawScale draws.
func sweeps(threads int) []*sweep {
	mlp := func(batch, width, depth, threads int) *work {
		units := append(slices.Repeat([]int{width}, depth), 10)
		return &work{Name: "scale", Input: []int{width}, Classes: 10, Batch: batch, Optimizer: "sgd",
			Layers: perceptron(units...), Threads: threads}
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
	return []*sweep{
		{title: "batch: two layers of 512", x: "rows of a batch", y: "µs per row", points: doubling(1, 4096),
			work:  func(x int) *work { return mlp(x, 512, 2, threads) },
			value: func(x int, ms float64) float64 { return 1e3 * ms / float64(x) }},
		{title: "width: two layers, batch 128", x: "units of a layer", y: "GF/s of the products", points: doubling(32, 4096),
			work:  func(x int) *work { return mlp(128, x, 2, threads) },
			value: func(x int, ms float64) float64 { return 6 * 128 * float64(2*x*x+10*x) / ms / 1e6 }},
		{title: "depth: layers of 128, batch 128", x: "layers", y: "µs per layer", points: []int{2, 5, 10, 20, 50, 100, 200},
			work:  func(x int) *work { return mlp(128, 128, x, threads) },
			value: func(x int, ms float64) float64 { return 1e3 * ms / float64(x) }},
		{title: "threads: three layers of 1024, batch 256", x: "threads", y: "steps per second", points: all, linear: true,
			work:  func(x int) *work { return mlp(256, 1024, 3, x) },
			value: func(_ int, ms float64) float64 { return 1e3 / ms }},
	}
}

// drawScale measures how the cost of a step grows, and writes a picture, and the
// numbers beside it.
func drawScale(o *options) error {
	all := sweeps(o.threads)
	before := measureLoad(o.threads)
	for _, s := range all {
		s.times = make([][]float64, len(s.points))
		for range o.rounds {
			for i, x := range s.points {
				if err := s.measure(i, x, o.ms); err != nil {
					return err
				}
			}
		}
		for i, x := range s.points {
			slices.Sort(s.times[i])
			fmt.Printf("%-44s %5d  %10.3f ms  %8.4g %s\n", s.title, x, quantile(s.times[i], 0.5), s.at(i), s.y)
		}
	}
	fmt.Printf("%s, %d threads, %s, %s. Load before: %v; after: %v.\n", processor(), o.threads,
		runtime.Version(), time.Now().Format(time.DateOnly), before, measureLoad(o.threads))
	if err := writeNumbers(strings.TrimSuffix(o.scale, ".png")+".csv", all); err != nil {
		return err
	}
	return writePicture(o.scale, all)
}

// measure takes a turn at one point.
func (s *sweep) measure(i, x int, ms float64) error {
	e, err := newGespannEngine(s.work(x))
	if err != nil {
		return err
	}
	defer e.close()
	times, err := turn(e, ms)
	s.times[i] = append(s.times[i], times...)
	return err
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
	w.Write([]string{"sweep", "x", "ms_p10", "ms", "ms_p90"})
	for _, s := range all {
		for i, x := range s.points {
			row := []string{s.title, strconv.Itoa(x)}
			for _, q := range []float64{0.1, 0.5, 0.9} {
				row = append(row, strconv.FormatFloat(quantile(s.times[i], q), 'g', 4, 64))
			}
			w.Write(row)
		}
	}
	w.Flush()
	return w.Error()
}

// writePicture draws the sweeps, two in a row.
func writePicture(path string, all []*sweep) error {
	const columns = 2
	var rows [][]*plot.Plot
	for some := range slices.Chunk(all, columns) {
		var row []*plot.Plot
		for _, s := range some {
			row = append(row, s.panel())
		}
		rows = append(rows, row)
	}
	img := vgimg.New(24*vg.Centimeter, vg.Length(len(rows))*8*vg.Centimeter)
	pad := 6 * vg.Millimeter
	tiles := draw.Tiles{Rows: len(rows), Cols: columns, PadX: pad, PadY: pad, PadTop: pad, PadBottom: pad,
		PadLeft: pad, PadRight: pad}
	canvases := plot.Align(rows, tiles, draw.New(img))
	for i, row := range rows {
		for j, p := range row {
			p.Draw(canvases[i][j])
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = (vgimg.PngCanvas{Canvas: img}).WriteTo(f); err != nil {
		return err
	}
	return f.Close()
}

// panel draws one sweep: the medians, and the 10th to 90th percentile.
func (s *sweep) panel() *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = s.title, s.x, s.y
	var points plotter.XYs
	var errors plotter.YErrors
	for i, x := range s.points {
		y := s.at(i)
		points = append(points, plotter.XY{X: float64(x), Y: y})
		a, b := s.value(x, quantile(s.times[i], 0.1)), s.value(x, quantile(s.times[i], 0.9))
		errors = append(errors, struct{ Low, High float64 }{y - min(a, b), max(a, b) - y})
	}
	blue := color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}
	line, dots, _ := plotter.NewLinePoints(points)
	line.Color, line.Width = blue, vg.Points(1.5)
	dots.Color, dots.Shape, dots.Radius = blue, draw.CircleGlyph{}, vg.Points(2.5)
	bars, _ := plotter.NewYErrorBars(struct {
		plotter.XYs
		plotter.YErrors
	}{points, errors})
	bars.Color = blue
	p.Add(plotter.NewGrid(), bars, line, dots)
	var names []plot.Tick
	for _, x := range s.points {
		names = append(names, plot.Tick{Value: float64(x), Label: strconv.Itoa(x)})
	}
	p.X.Tick.Marker = plot.ConstantTicks(names)
	if s.linear {
		p.Y.Min = 0
		return p
	}
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.Y.Tick.Marker = roundTicks{}
	return p
}

// roundTicks are at 1, 2 and 5 times the powers of ten.
type roundTicks struct{}

// Ticks implements plot.Ticker.
func (roundTicks) Ticks(lo, hi float64) (all []plot.Tick) {
	for power := 1e-6; power < 1e9; power *= 10 {
		for _, lead := range []float64{1, 2, 5} {
			if v := lead * power; v >= lo && v <= hi {
				all = append(all, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', 3, 64)})
			}
		}
	}
	return all
}
