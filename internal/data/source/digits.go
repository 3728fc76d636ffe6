package source

import (
	"bytes"
	"compress/gzip"
	_ "embed" // for the digits
	"fmt"
	"io"

	"github.com/gespann/gespann/internal/data"
)

// digitsFile is the test part of the UCI Optical Recognition of Handwritten
// Digits (E. Alpaydin and C. Kaynak; CC BY 4.0): see ATTRIBUTION.
//
//go:embed digits.csv.gz
var digitsFile []byte

// The digits: images of 8x8 pixels of 0 to 16, then the digit.
const (
	digitsRows = 1797
	digitsSide = 8
	digitsMax  = 16
)

func readDigits() (*raw, error) {
	gz, err := gzip.NewReader(bytes.NewReader(digitsFile))
	if err != nil {
		return nil, fmt.Errorf("digits: %w", err)
	}
	text, err := io.ReadAll(gz)
	if err != nil {
		return nil, fmt.Errorf("digits: %w", err)
	}
	const pixels = digitsSide * digitsSide
	x := make([]byte, 0, digitsRows*pixels)
	y := make([]int32, 0, digitsRows)
	for i, line := range bytes.Fields(text) {
		fields := bytes.Split(line, []byte(","))
		if len(fields) != pixels+1 {
			return nil, fmt.Errorf("digits: line %d has %d fields, want %d", i+1, len(fields), pixels+1)
		}
		for _, f := range fields[:pixels] {
			x = append(x, byte(small(f)))
		}
		y = append(y, int32(small(fields[pixels])))
	}
	r := &raw{classes: 10, isClass: true, byteMax: digitsMax, source: "digits (embedded)"}
	r.parts[data.Train] = data.Part{
		X:    data.Table{Shape: []int{digitsSide, digitsSide, 1}, U8: x},
		Y:    data.Table{Shape: []int{}, I32: y},
		Rows: len(y),
	}
	return r, nil
}

// small returns the value of a few decimal digits.
func small(digits []byte) int {
	v := 0
	for _, d := range digits {
		v = v*10 + int(d-'0')
	}
	return v
}
