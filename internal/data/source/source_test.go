package source

import (
	"context"
	"os"
	"testing"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model/spec"
)

func TestDigits(t *testing.T) {
	set, err := Load(context.Background(), spec.Data{
		Source: "digits", TestSplit: 0.2, ValidationSplit: 0.1, Normalize: "scale", SplitSeed: 1,
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var rows [3]int
	for i, p := range set.Parts {
		rows[i] = p.Rows
		if p.X.Rows() != p.Rows || p.Y.Rows() != p.Rows {
			t.Errorf("%s: %d rows of x, %d of y, want %d", data.Split(i), p.X.Rows(), p.Y.Rows(), p.Rows)
		}
		if p.X.U8 == nil || len(p.X.Scale) != 1 || p.X.Scale[0] != 1.0/16 {
			t.Errorf("%s: scale %v, want bytes by 1/16", data.Split(i), p.X.Scale)
		}
	}
	if want := [3]int{1294, 144, 359}; rows != want {
		t.Errorf("rows = %v, want %v", rows, want)
	}
	if set.Classes != 10 {
		t.Errorf("classes = %d, want 10", set.Classes)
	}
}

// TestMNISTFolder reads the real files where an environment variable says they
// are.
func TestMNISTFolder(t *testing.T) {
	dir := os.Getenv("GESPANN_TEST_MNIST")
	if dir == "" {
		t.Skip("GESPANN_TEST_MNIST is not set")
	}
	set, err := Load(context.Background(), spec.Data{
		Source: "mnist", Dir: dir, ValidationSplit: 1.0 / 12, Normalize: "scale", SplitSeed: 1,
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := [3]int{set.Parts[0].Rows, set.Parts[1].Rows, set.Parts[2].Rows}; got != [3]int{55000, 5000, 10000} {
		t.Errorf("rows = %v, want [55000 5000 10000]", got)
	}
	sum := 0.0
	for _, v := range set.Parts[0].X.U8 {
		sum += float64(v)
	}
	// The mean of the 60000 training images is 0.1307 of 255.
	if mean := sum / float64(len(set.Parts[0].X.U8)) / 255; mean < 0.129 || mean > 0.132 {
		t.Errorf("mean pixel = %v, want about 0.1307", mean)
	}
}
