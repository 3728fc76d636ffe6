package web

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gespann/gespann/dist/server/jobs"
	"github.com/gespann/gespann/dist/wire"
)

// Size of a chart, and where its plot area is, in units of its viewBox.
const (
	chartWidth, chartHeight = 400, 236
	plotLeft, plotTop       = 48, 12
	plotRight, plotBottom   = 390, 204
)

// maxCharts bounds the panels of a job: the loss, and the first metrics.
const maxCharts = 4

// maxDots is up to how many points of validation are marked one by one.
const maxDots = 60

// logFrom is how much larger the largest than the smallest value must be for a
// logarithmic axis.
const logFrom = 100

// A chart is a loss or metric over the epochs, ready to be drawn.
type chart struct {
	Name                  string
	Train, Validation     []string // points of polylines; values that are not finite part them
	Dots                  []dot
	X, Y                  []tick
	LastTrain, LastVal    string // the latest values, for people
	Log                   bool
	Width, Height         int
	Left, Top, Right, Low int
}

// LabelX and LabelY are where the labels of the axes are.
func (c chart) LabelX() int { return c.Left - 6 }

// LabelY is below the axis.
func (c chart) LabelY() int { return c.Low + 15 }

// A dot is a point that is marked: of the series train or val.
type dot struct{ Series, X, Y, R, Title string }

type tick struct{ At, Text string }

// charts returns a panel for the loss and for each metric of a curve.
func charts(c *jobs.Curve) []chart {
	if c == nil {
		return nil
	}
	var out []chart
	for _, name := range curveNames(c) {
		if one, ok := newChart(c, name); ok && len(out) < maxCharts {
			out = append(out, one)
		}
	}
	return out
}

// curveNames returns the loss, the accuracy, and the other metrics by name.
func curveNames(c *jobs.Curve) []string {
	seen := map[string]bool{}
	var names []string
	for _, series := range [][]jobs.Point{c.Train, c.Validation} {
		if len(series) == 0 {
			continue
		}
		for name := range series[len(series)-1].Values {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	slices.SortFunc(names, compareNames)
	return names
}

// compareNames orders loss, accuracy, then by name.
func compareNames(a, b string) int {
	rank := func(name string) string {
		switch name {
		case "loss":
			return "\x00"
		case "accuracy":
			return "\x01"
		}
		return "\x02" + name
	}
	return strings.Compare(rank(a), rank(b))
}

// A place is a point of a series; V may be anything.
type place struct{ x, v float64 }

// finite reports whether the point can be drawn.
func (p place) finite() bool { return finite(p.v) && finite(p.x) }

func series(points []jobs.Point, name string) []place {
	var out []place
	for _, p := range points {
		if v, ok := p.Values[name]; ok {
			out = append(out, place{p.Epoch, float64(v)})
		}
	}
	return out
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func newChart(c *jobs.Curve, name string) (chart, bool) {
	train, val := series(c.Train, name), series(c.Validation, name)
	var values []float64
	right := 0.0
	for _, p := range append(slices.Clone(train), val...) {
		if p.finite() {
			values = append(values, p.v)
			right = math.Max(right, p.x)
		}
	}
	if len(values) == 0 || right <= 0 || !finite(2*(slices.Max(values)-slices.Min(values))) {
		return chart{}, false
	}
	x := axis{low: 0, high: right, from: plotLeft, to: plotRight}
	y := valueAxis(slices.Min(values), slices.Max(values), name)
	out := chart{
		Name: name, Log: y.log, Width: chartWidth, Height: chartHeight,
		Left: plotLeft, Top: plotTop, Right: plotRight, Low: plotBottom,
		Train: lines(train, x, y), Validation: lines(val, x, y), X: x.ticks(6), Y: y.ticks(5),
		LastTrain: last(train), LastVal: last(val),
	}
	mark := func(series, what string, all []place, few bool) {
		for i, p := range all {
			radius := "2.6"
			if alone(all, i) { // a line of one point is not to be seen
				radius = "3.5"
			} else if !few || !p.finite() {
				continue
			}
			out.Dots = append(out.Dots, dot{series, x.text(p.x), y.text(p.v), radius,
				fmt.Sprintf("%s after %.3g epochs: %.4g", what, p.x, p.v)})
		}
	}
	mark("train", "training", train, false)
	mark("val", "validation", val, len(val) <= maxDots)
	return out, true
}

// alone reports whether a point that can be drawn has no neighbour to draw a line to.
func alone(s []place, i int) bool {
	return s[i].finite() && (i == 0 || !s[i-1].finite()) && (i == len(s)-1 || !s[i+1].finite())
}

func last(s []place) string {
	if len(s) == 0 {
		return ""
	}
	return value(wire.Value(s[len(s)-1].v))
}

// lines returns the points of polylines, one for each run of finite values.
func lines(s []place, x, y axis) []string {
	var out []string
	var line strings.Builder
	for _, p := range append(slices.Clone(s), place{v: math.NaN()}) {
		if p.finite() {
			line.WriteString(x.text(p.x) + "," + y.text(p.v) + " ")
		} else if line.Len() > 0 {
			out = append(out, strings.TrimSuffix(line.String(), " "))
			line.Reset()
		}
	}
	return out
}

// An axis maps low to from, and high to to.
type axis struct {
	low, high, from, to float64
	log                 bool
}

// valueAxis spans the values, with some room.
func valueAxis(low, high float64, name string) axis {
	a := axis{low: low, high: high, from: plotBottom, to: plotTop, log: low > 0 && high/low >= logFrom}
	if a.log {
		room := math.Pow(high/low, 0.05)
		a.low, a.high = low/room, high*room
		return a
	}
	room := (high - low) * 0.06
	if room == 0 {
		room = math.Max(math.Abs(high)*0.1, 1e-3)
	}
	a.low, a.high = low-room, high+room
	if low >= 0 {
		a.low = math.Max(a.low, 0)
	}
	if name == "accuracy" {
		a.high = math.Max(math.Min(a.high, 1), high)
	}
	return a
}

func (a axis) at(v float64) float64 {
	if a.log {
		return a.from + (a.to-a.from)*math.Log(v/a.low)/math.Log(a.high/a.low)
	}
	return a.from + (a.to-a.from)*(v-a.low)/(a.high-a.low)
}

func (a axis) text(v float64) string { return strconv.FormatFloat(a.at(v), 'f', 1, 64) }

// ticks returns about n round numbers of the axis.
func (a axis) ticks(n int) []tick {
	var out []tick
	if a.log {
		for _, v := range a.decades(n) {
			out = append(out, tick{a.text(v), strconv.FormatFloat(v, 'g', 3, 64)})
		}
		return out
	}
	step := niceStep((a.high - a.low) / float64(n))
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	if digits > 6 || step >= 1e6 {
		digits = -1 // shortest
	}
	format := byte('f')
	if digits < 0 {
		format = 'g'
	}
	first := math.Ceil(a.low/step - 1e-9)
	for k := range 2 * n {
		v := (first + float64(k)) * step
		if v > a.high+step*1e-9 {
			break
		}
		out = append(out, tick{a.text(v), strconv.FormatFloat(v, format, digits, 64)})
	}
	return out
}

// decades returns powers of ten, with 2 and 5 between them where there is room.
func (a axis) decades(n int) []float64 {
	low, high := math.Floor(math.Log10(a.low)), math.Ceil(math.Log10(a.high))
	steps := []float64{1}
	if high-low <= 3 {
		steps = []float64{1, 2, 5}
	}
	every := max(1, int(high-low)/n)
	var out []float64
	for e := low; e <= high; e += float64(every) {
		for _, s := range steps {
			if v := s * math.Pow(10, e); v >= a.low && v <= a.high {
				out = append(out, v)
			}
		}
	}
	return out
}

// niceStep returns the next of 1, 2 and 5 times a power of ten.
func niceStep(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, s := range []float64{1, 2, 5} {
		if s*power >= v*(1-1e-9) {
			return s * power
		}
	}
	return 10 * power
}
