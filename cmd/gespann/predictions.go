package main

import (
	"bufio"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/gespann/gespann/backend/ir"
)

// predictions writes predictions in some format.
type predictions interface {
	begin(o *output, rows int, shape []int) error // shape of a row
	row(o *output, row []float32) error
	end() error
}

// csvPredictions writes a header and a line per row: for classes the most likely
// one, and then the probability of each.
type csvPredictions struct {
	w      io.Writer
	csv    *csv.Writer
	fields []string
}

func (p *csvPredictions) begin(o *output, _ int, shape []int) error {
	p.csv = csv.NewWriter(p.w)
	var header []string
	switch size := ir.Size(shape); {
	case o.isClass(size):
		header = append([]string{o.name}, prefixed("p_", o.classes)...)
	case size == 1:
		header = []string{o.name}
	default:
		header = prefixed(o.name+"_", numbers(size))
	}
	return p.csv.Write(header)
}

func (p *csvPredictions) row(o *output, row []float32) error {
	p.fields = p.fields[:0]
	if o.isClass(len(row)) {
		row = o.probabilities(row)
		class, _ := o.class(row)
		p.fields = append(p.fields, class)
	}
	for _, v := range row {
		text := strconv.FormatFloat(float64(v), 'g', -1, 32) // also NaN and -Inf
		p.fields = append(p.fields, strings.TrimPrefix(text, "+"))
	}
	return p.csv.Write(p.fields)
}

func (p *csvPredictions) end() error {
	if p.csv != nil {
		p.csv.Flush()
		return p.csv.Error()
	}
	return nil
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = prefix + name
	}
	return out
}

// jsonPredictions writes a JSON object per row.
type jsonPredictions struct {
	w   io.Writer
	out *bufio.Writer
	enc *json.Encoder
}

func (p *jsonPredictions) begin(*output, int, []int) error {
	p.out = bufio.NewWriter(p.w)
	p.enc = json.NewEncoder(p.out)
	return nil
}

func (p *jsonPredictions) row(o *output, row []float32) error {
	switch {
	case o.isClass(len(row)):
	case len(row) == 1:
		return p.enc.Encode(object{o.name: jsonNumbers(row)[0]})
	default:
		return p.enc.Encode(object{o.name: jsonNumbers(row)})
	}
	row = o.probabilities(row)
	line := struct {
		Class         *string `json:"class"`
		Probability   any     `json:"probability"`
		Probabilities []any   `json:"probabilities"`
	}{Probabilities: jsonNumbers(row)}
	if class, ok := o.class(row); ok {
		line.Class, line.Probability = &class, line.Probabilities[argmax(row)]
	}
	return p.enc.Encode(line)
}

// jsonNumbers are the elements of row, with null for those that JSON has no number
// for.
func jsonNumbers(row []float32) []any {
	out := make([]any, len(row))
	for i, x := range row {
		if isFinite(x) {
			out[i] = x
		}
	}
	return out
}

func (p *jsonPredictions) end() error {
	if p.out != nil {
		return p.out.Flush()
	}
	return nil
}

// npyPredictions writes the numbers as an array in NumPy's format, version 1.0.
//
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
type npyPredictions struct {
	w   io.Writer
	out *bufio.Writer
	buf []byte
}

func (p *npyPredictions) begin(_ *output, rows int, shape []int) error {
	p.out = bufio.NewWriter(p.w)
	dims := strings.Trim(strings.ReplaceAll(fmt.Sprint(append([]int{rows}, shape...)), " ", ", "), "[]")
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }", dims)
	const align, start = 64, 10 // the array begins at a multiple of 64
	header += strings.Repeat(" ", (align-(start+len(header)+1)%align)%align) + "\n"
	p.out.WriteString("\x93NUMPY\x01\x00")
	binary.Write(p.out, binary.LittleEndian, uint16(len(header)))
	_, err := p.out.WriteString(header)
	return err
}

func (p *npyPredictions) row(_ *output, row []float32) error {
	p.buf = p.buf[:0]
	for _, v := range row {
		p.buf = binary.LittleEndian.AppendUint32(p.buf, math.Float32bits(v))
	}
	_, err := p.out.Write(p.buf)
	return err
}

func (p *npyPredictions) end() error {
	if p.out != nil {
		return p.out.Flush()
	}
	return nil
}
