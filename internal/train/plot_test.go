package train

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// TestPlot draws a run of twelve epochs, and looks at the pictures.
func TestPlot(t *testing.T) {
	d := &Dir{Path: t.TempDir()}
	names := []string{"loss", "accuracy", "val_loss", "val_accuracy"}
	log, _, err := openMetrics(d.file(metricsFile), names, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for epoch := range 12 {
		e := float64(epoch)
		r := Row{Epoch: epoch + 1, Values: []Value{
			{"loss", math.Exp(-e/3)*2 + 0.03}, {"accuracy", 1 - math.Exp(-e/2)/1.5},
			{"val_loss", math.Exp(-e/3)*1.9 + 0.1 + e/200}, {"val_accuracy", 0.97 - math.Exp(-e/2)/1.6},
		}}
		if err := log.append(r.line()); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Plot(); err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("PLOT_TO"); dir != "" {
		for _, name := range []string{"plot.png", "plot.svg"} {
			b, _ := os.ReadFile(d.file(name))
			fmt.Println(os.WriteFile(filepath.Join(dir, name), b, 0o644))
		}
	}
	b, err := os.ReadFile(d.file("plot.png"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if s := img.Bounds().Size(); s.X < 1000 || s.Y < 400 {
		t.Errorf("plot.png is %v, want at least 1000x400", s)
	}
	svg, err := os.ReadFile(d.file("plot.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "loss", "accuracy", "training", "validation", "epoch"} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("plot.svg has no %q", want)
		}
	}
}

// TestPlotOfHugeValues checks that labels stay short, and that a curve without numbers
// says so.
func TestPlotOfHugeValues(t *testing.T) {
	d := &Dir{Path: t.TempDir()}
	log, _, err := openMetrics(d.file(metricsFile), []string{"loss", "mean_absolute_error"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for epoch := range 3 {
		r := Row{Epoch: epoch + 1, Values: []Value{{"loss", 2.5e11 / float64(epoch+1)}, {"mean_absolute_error", math.NaN()}}}
		if err := log.append(r.line()); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Plot(); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(d.file("plot.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{">2e11<", ">training 8.333e10<", ">mean absolute error: no finite value<"} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("plot.svg has no %q", want)
		}
	}
	if bytes.Contains(svg, []byte("00000")) {
		t.Errorf("plot.svg has a long label:\n%s", svg)
	}
}
