package train

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/gespann/gespann/internal/outfile"
)

// Size of one panel, and the resolution of the PNG.
const (
	panelWidth  = 13 * vg.Centimeter
	panelHeight = 9 * vg.Centimeter
	plotDPI     = 144
)

// Colours of a qualitative palette that colour-blind readers can tell apart.
//
// Source: P. Tol, Colour Schemes, SRON 2021: "high contrast" and "bright".
var (
	trainColor = color.RGBA{R: 0x00, G: 0x44, B: 0x88, A: 0xff}
	valColor   = color.RGBA{R: 0xee, G: 0x66, B: 0x77, A: 0xff}
	textColor  = color.Gray{Y: 0x33}
	axisColor  = color.Gray{Y: 0x99}
	gridColor  = color.Gray{Y: 0xdd}
)

// Plot draws plot.png and plot.svg from the run's metrics.csv: a panel each for
// the loss and the metrics. Without a finished epoch there is nothing to draw.
func (d *Dir) Plot() error {
	table, names, err := readMetrics(d.file(metricsFile))
	if err != nil {
		return err
	}
	if len(table["epoch"]) == 0 {
		return nil
	}
	var panels []*plot.Plot
	for _, name := range names {
		if isMetric(name) {
			panels = append(panels, panel(name, table))
		}
	}
	width := panelWidth * vg.Length(len(panels))
	img := vgimg.NewWith(vgimg.UseWH(width, panelHeight), vgimg.UseDPI(plotDPI))
	svg := vgsvg.New(width, panelHeight)
	for _, c := range []vg.CanvasSizer{img, svg} {
		drawPanels(panels, c)
	}
	if err := outfile.Write(d.file("plot.png"), encode(vgimg.PngCanvas{Canvas: img})); err != nil {
		return err
	}
	return outfile.Write(d.file("plot.svg"), encode(svg))
}

func encode(c io.WriterTo) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := c.WriteTo(w)
		return err
	}
}

// isMetric reports whether a column of metrics.csv has a panel of its own.
func isMetric(column string) bool {
	return !strings.HasPrefix(column, valPrefix) &&
		!slices.Contains([]string{"epoch", "step", "learning_rate", "seconds"}, column)
}

// drawPanels puts the panels side by side.
func drawPanels(panels []*plot.Plot, c vg.CanvasSizer) {
	tiles := draw.Tiles{
		Rows: 1, Cols: len(panels), PadX: 8 * vg.Millimeter,
		PadTop: 4 * vg.Millimeter, PadBottom: 4 * vg.Millimeter,
		PadLeft: 4 * vg.Millimeter, PadRight: 6 * vg.Millimeter,
	}
	canvases := plot.Align([][]*plot.Plot{panels}, tiles, draw.New(c))
	for i, p := range panels {
		p.Draw(canvases[0][i])
	}
}

// panel plots a metric over the epochs, on the training and validation rows.
func panel(name string, table map[string][]float64) *plot.Plot {
	p := plot.New()
	p.Title.Text = strings.ReplaceAll(name, "_", " ")
	p.X.Label.Text = "epoch"
	style(p)
	if !rising(name) {
		p.Legend.Top, p.Legend.YOffs = true, -p.Legend.YOffs
	}
	p.Add(grid())
	epochs := table["epoch"]
	p.X.Min, p.X.Max = epochs[0], epochs[len(epochs)-1]
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks{most: 10, least: 1}, ticks{most: 6}
	some := addCurve(p, "training", epochs, table[name], trainColor)
	if val, ok := table[valPrefix+name]; ok {
		some = addCurve(p, "validation", epochs, val, valColor) || some
	}
	if !some {
		p.Title.Text += ": no finite value"
	}
	if p.Y.Min >= 0 && !rising(name) {
		p.Y.Min = 0
	}
	if rising(name) { // leave room for the legend below the curves
		p.Y.Min, p.Y.Max = max(0, p.Y.Min-0.2*(p.Y.Max-p.Y.Min)), 1
	}
	return p
}

// addCurve draws the finite values of a column, and a dot where it ends. It reports
// whether there are any.
func addCurve(p *plot.Plot, label string, x, y []float64, c color.Color) bool {
	var points plotter.XYs
	for i := range y {
		if !math.IsNaN(y[i]) && !math.IsInf(y[i], 0) {
			points = append(points, plotter.XY{X: x[i], Y: y[i]})
		}
	}
	if len(points) == 0 {
		return false
	}
	line := &plotter.Line{XYs: points, LineStyle: draw.LineStyle{Color: c, Width: vg.Points(2)}}
	end := &plotter.Scatter{
		XYs:        points[len(points)-1:],
		GlyphStyle: draw.GlyphStyle{Color: c, Radius: vg.Points(3), Shape: draw.CircleGlyph{}},
	}
	p.Add(line, end)
	p.Legend.Add(label+" "+short(fmt.Sprintf("%.4g", points[len(points)-1].Y)), line)
	return true
}

// style sets fonts and colours.
func style(p *plot.Plot) {
	sans := font.Font{Typeface: "Liberation", Variant: "Sans"}
	set := func(t *draw.TextStyle, size vg.Length, c color.Color) {
		t.Font, t.Color = font.From(sans, size), c
	}
	set(&p.Title.TextStyle, vg.Points(14), textColor)
	p.Title.Padding = vg.Points(8)
	set(&p.Legend.TextStyle, vg.Points(11), textColor)
	p.Legend.ThumbnailWidth = vg.Points(18)
	p.Legend.Padding = vg.Points(3)
	p.Legend.XOffs, p.Legend.YOffs = -vg.Points(6), vg.Points(6)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		set(&axis.Label.TextStyle, vg.Points(11), textColor)
		set(&axis.Tick.Label, vg.Points(10), textColor)
		axis.LineStyle.Color, axis.Tick.LineStyle.Color = axisColor, axisColor
		axis.Padding = vg.Points(4)
	}
}

func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Vertical.Width = 0
	g.Horizontal.Color = gridColor
	g.Horizontal.Dashes = nil
	return g
}
