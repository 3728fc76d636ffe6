package main

import (
	"image/color"
	"os"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

var (
	blue = color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}
	grey = color.RGBA{R: 0x70, G: 0x70, B: 0x70, A: 0xff}
)

// writePicture draws the sweeps, two in a row, and below them where they were taken.
func writePicture(path, where string, peak float64, all []*sweep) error {
	const columns = 2
	var rows [][]*plot.Plot
	for some := range slices.Chunk(all, columns) {
		var row []*plot.Plot
		for _, s := range some {
			row = append(row, s.panel(peak))
		}
		rows = append(rows, row)
	}
	img := vgimg.New(26*vg.Centimeter, vg.Length(len(rows))*9*vg.Centimeter)
	pad := 7 * vg.Millimeter
	tiles := draw.Tiles{Rows: len(rows), Cols: columns, PadX: 2 * pad, PadY: pad, PadTop: pad, PadBottom: 2 * pad,
		PadLeft: pad, PadRight: pad}
	canvas := draw.New(img)
	for i, row := range plot.Align(rows, tiles, canvas) {
		for j, c := range row {
			rows[i][j].Draw(c)
		}
	}
	style := rows[0][0].X.Label.TextStyle
	style.Color, style.XAlign, style.YAlign = grey, draw.XCenter, draw.YBottom
	canvas.FillText(style, vg.Point{X: canvas.Center().X, Y: pad / 2}, "A step of training, by one size. "+
		"Dots: medians; bars: 10th to 90th percentile. "+where)
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

// panel draws one sweep: the medians, the 10th to 90th percentile, and what would be
// best.
func (s *sweep) panel(peak float64) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = s.title, s.x, s.y
	p.Title.Padding = 2 * vg.Millimeter
	var points, limit plotter.XYs
	var errors plotter.YErrors
	for i, x := range s.points {
		y := s.at(i)
		points = append(points, plotter.XY{X: float64(x), Y: y})
		a, b := s.value(x, quantile(s.times[i], 0.1)), s.value(x, quantile(s.times[i], 0.9))
		errors = append(errors, struct{ Low, High float64 }{y - min(a, b), max(a, b) - y})
		if s.limit != nil && peak > 0 {
			limit = append(limit, plotter.XY{X: float64(x), Y: s.limit(x, peak, s.at(0))})
		}
	}
	p.Add(plotter.NewGrid())
	if len(limit) > 0 {
		line, _ := plotter.NewLine(limit)
		line.Color, line.Dashes = grey, []vg.Length{vg.Points(4), vg.Points(3)}
		p.Add(line)
		p.Legend.Add(s.limitName, line)
		p.Legend.Top = s.linearY || limit[0].Y < points[0].Y
		p.Legend.Left = s.linearY
	}
	line, dots, _ := plotter.NewLinePoints(points)
	line.Color, line.Width = blue, vg.Points(1.5)
	dots.Color, dots.Shape, dots.Radius = blue, draw.CircleGlyph{}, vg.Points(2.5)
	bars, _ := plotter.NewYErrorBars(struct {
		plotter.XYs
		plotter.YErrors
	}{points, errors})
	bars.Color = blue
	p.Add(bars, line, dots)
	s.scale(p)
	return p
}

// scale sets the axes.
func (s *sweep) scale(p *plot.Plot) {
	var names []plot.Tick
	for _, x := range s.points {
		name := strconv.Itoa(x)
		if x >= 1024 && x%1024 == 0 {
			name = strconv.Itoa(x/1024) + "Ki"
		}
		names = append(names, plot.Tick{Value: float64(x), Label: name})
	}
	p.X.Tick.Marker = plot.ConstantTicks(names)
	if !s.linearX {
		p.X.Scale = plot.LogScale{}
	}
	if s.linearY {
		p.Y.Min = 0
		p.Y.Max *= 1.05
		return
	}
	p.Y.Scale = plot.LogScale{}
	p.Y.Min, p.Y.Max = p.Y.Min/1.1, p.Y.Max*1.1
	p.Y.Tick.Marker = roundTicks{}
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
