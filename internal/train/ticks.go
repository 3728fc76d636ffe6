package train

import (
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
)

// ticks are at round numbers: at most so many, at least so far apart.
type ticks struct {
	most  int
	least float64 // 1 for whole numbers
}

// Ticks implements plot.Ticker.
func (t ticks) Ticks(lo, hi float64) []plot.Tick {
	step := t.step(lo, hi)
	if math.IsInf(step, 0) || math.IsNaN(step) {
		return nil
	}
	var at []float64
	// Adding 0 turns -0 into 0.
	for i := math.Ceil(lo/step-1e-9) + 0; i*step <= hi+step*1e-9; i++ {
		at = append(at, i*step)
	}
	labels := tickLabels(at, step)
	out := make([]plot.Tick, len(at))
	for i := range at {
		out[i] = plot.Tick{Value: at[i], Label: labels[i]}
	}
	return out
}

// step returns the distance of the ticks: 1, 2 or 5 times a power of ten.
func (t ticks) step(lo, hi float64) float64 {
	// Where all values are one, and where they differ by rounding only, there is
	// nothing to tell apart.
	const digits = 1e-9
	wide := max(hi-lo, digits*max(math.Abs(lo), math.Abs(hi)), math.SmallestNonzeroFloat32)
	step := max(t.least, math.Pow(10, math.Floor(math.Log10(wide/float64(t.most)))))
	for wide/step > float64(t.most) {
		step = nextStep(step)
	}
	return step
}

// nextStep goes 1, 2, 5, 10, 20, 50, ...
func nextStep(step float64) float64 {
	lead := step / math.Pow(10, math.Floor(math.Log10(step)+1e-9))
	if math.Round(lead) == 2 {
		return step * 2.5
	}
	return step * 2
}

// tickLabels are numbers with the digits that tell those a step apart from each
// other: as decimals, or as 2e11 and 5e-7 where decimals are long.
func tickLabels(at []float64, step float64) []string {
	const long = 6 // characters
	exponent := int(math.Floor(math.Log10(step) + 1e-9))
	if len(at) == 1 { // no other to tell it from
		return []string{short(strconv.FormatFloat(at[0], 'g', long, 64))}
	}
	decimal, scientific := make([]string, len(at)), make([]string, len(at))
	longest := [2]int{}
	for i, v := range at {
		decimal[i] = strconv.FormatFloat(v, 'f', max(0, -exponent), 64)
		scientific[i] = scientificLabel(v, exponent)
		longest[0], longest[1] = max(longest[0], len(decimal[i])), max(longest[1], len(scientific[i]))
	}
	if longest[0] > long && longest[1] < longest[0] {
		return scientific
	}
	return decimal
}

// scientificLabel is a multiple of a power of ten, such as 1.5e11.
func scientificLabel(v float64, exponent int) string {
	if v == 0 {
		return "0"
	}
	digits := int(math.Floor(math.Log10(math.Abs(v))+1e-9)) - exponent
	return short(strconv.FormatFloat(v, 'e', max(0, digits), 64))
}

// short is a number without what its exponent does not need: 1.50e+06 is 1.5e6.
func short(number string) string {
	mantissa, power, ok := strings.Cut(number, "e")
	if !ok {
		return number
	}
	if strings.Contains(mantissa, ".") {
		mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
	}
	n, _ := strconv.Atoi(power) // FormatFloat writes no other
	return mantissa + "e" + strconv.Itoa(n)
}
