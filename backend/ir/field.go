package ir

import (
	"fmt"
	"strconv"
	"strings"
)

// The attributes as numbers, for sets of them and for the text form.
const (
	fTransA = iota
	fTransB
	fBias
	fGradAct
	fAct
	fAlpha
	fWin
	fGroups
	fDims
	fAxis
	fStart
	fCount
	fRate
	fSeed
	fLoss
	fDelta
	fMetric
	fK
	fThreshold
	fEps
	fMomentum
	fNesterov
	fBeta1
	fBeta2
	fAMSGrad
	fCentered
	fWeightDecay
	fClipValue
	fScale
	fMax
	fExpr
	fAxes
	fReduction
	fPerm
	numFields
)

// A fieldSet is a set of attributes, one bit each.
type fieldSet uint64

// A field is one attribute: its name in the text form and its conversions.
type field struct {
	name string
	// text returns the value as text, "" when it is zero. A boolean's text is
	// its name alone.
	text  func(a *Attrs) string
	parse func(a *Attrs, text string) error
}

// fields lists the attributes by number.
var fields = [numFields]field{
	fTransA:      boolField("trans_a", func(a *Attrs) *bool { return &a.TransA }),
	fTransB:      boolField("trans_b", func(a *Attrs) *bool { return &a.TransB }),
	fBias:        boolField("bias", func(a *Attrs) *bool { return &a.Bias }),
	fGradAct:     boolField("grad_act", func(a *Attrs) *bool { return &a.GradAct }),
	fAct:         enumField("act", actNames, func(a *Attrs) *Act { return &a.Act }),
	fAlpha:       floatField("alpha", func(a *Attrs) *float64 { return &a.Alpha }),
	fWin:         winField("win"),
	fGroups:      intField("groups", func(a *Attrs) *int { return &a.Groups }),
	fDims:        dimsField("dims"),
	fAxis:        intField("axis", func(a *Attrs) *int { return &a.Axis }),
	fStart:       intField("start", func(a *Attrs) *int { return &a.Start }),
	fCount:       intField("count", func(a *Attrs) *int { return &a.Count }),
	fRate:        floatField("rate", func(a *Attrs) *float64 { return &a.Rate }),
	fSeed:        seedField("seed"),
	fLoss:        enumField("loss", lossNames, func(a *Attrs) *Loss { return &a.Loss }),
	fDelta:       floatField("delta", func(a *Attrs) *float64 { return &a.Delta }),
	fMetric:      enumField("metric", metricNames, func(a *Attrs) *MetricKind { return &a.Metric }),
	fK:           intField("k", func(a *Attrs) *int { return &a.K }),
	fThreshold:   floatField("threshold", func(a *Attrs) *float64 { return &a.Threshold }),
	fEps:         floatField("eps", func(a *Attrs) *float64 { return &a.Eps }),
	fMomentum:    floatField("momentum", func(a *Attrs) *float64 { return &a.Momentum }),
	fNesterov:    boolField("nesterov", func(a *Attrs) *bool { return &a.Nesterov }),
	fBeta1:       floatField("beta1", func(a *Attrs) *float64 { return &a.Beta1 }),
	fBeta2:       floatField("beta2", func(a *Attrs) *float64 { return &a.Beta2 }),
	fAMSGrad:     boolField("amsgrad", func(a *Attrs) *bool { return &a.AMSGrad }),
	fCentered:    boolField("centered", func(a *Attrs) *bool { return &a.Centered }),
	fWeightDecay: floatField("weight_decay", func(a *Attrs) *float64 { return &a.WeightDecay }),
	fClipValue:   floatField("clip_value", func(a *Attrs) *float64 { return &a.ClipValue }),
	fScale:       boolField("scale", func(a *Attrs) *bool { return &a.Scale }),
	fMax:         floatField("max", func(a *Attrs) *float64 { return &a.Max }),
	fExpr:        textField("expr", func(a *Attrs) *Expr { return &a.Expr }),
	fAxes:        axesField("axes"),
	fReduction:   enumField("reduction", reductionNames, func(a *Attrs) *Reduction { return &a.Reduction }),
	fPerm:        textField("perm", func(a *Attrs) *Perm { return &a.Perm }),
}

// unread returns the first attribute that is set in a but not in reads.
func unread(a *Attrs, reads fieldSet) (f field, text string, found bool) {
	for i, f := range fields {
		if reads&(1<<i) == 0 {
			if text := f.text(a); text != "" {
				return f, text, true
			}
		}
	}
	return field{}, "", false
}

func boolField(name string, of func(*Attrs) *bool) field {
	return field{name,
		func(a *Attrs) string {
			if *of(a) {
				return name
			}
			return ""
		},
		func(a *Attrs, text string) error {
			if text != "" {
				return fmt.Errorf("%s: got %q, want no value", name, text)
			}
			*of(a) = true
			return nil
		}}
}

func textField[T ~string](name string, of func(*Attrs) *T) field {
	return field{name,
		func(a *Attrs) string { return string(*of(a)) },
		func(a *Attrs, text string) error {
			*of(a) = T(text)
			return nil
		}}
}

// axesField prints the axes as digits, such as "12".
func axesField(name string) field {
	return field{name,
		func(a *Attrs) string {
			var text []byte
			for i := range maxRank {
				if a.Axes.Has(i) {
					text = append(text, '0'+byte(i))
				}
			}
			return string(text)
		},
		func(a *Attrs, text string) error {
			a.Axes = 0
			for _, c := range []byte(text) {
				if c < '0' || c >= '0'+maxRank || a.Axes.Has(int(c-'0')) {
					return fmt.Errorf("axes: got %q, want different digits from 0 to %d", text, maxRank-1)
				}
				a.Axes |= AxesOf(int(c - '0'))
			}
			return nil
		}}
}

func intField(name string, of func(*Attrs) *int) field {
	return field{name,
		func(a *Attrs) string {
			if *of(a) == 0 {
				return ""
			}
			return strconv.Itoa(*of(a))
		},
		func(a *Attrs, text string) (err error) {
			*of(a), err = strconv.Atoi(text)
			return err
		}}
}

func seedField(name string) field {
	return field{name,
		func(a *Attrs) string {
			if a.Seed == 0 {
				return ""
			}
			return strconv.FormatUint(a.Seed, 10)
		},
		func(a *Attrs, text string) (err error) {
			a.Seed, err = strconv.ParseUint(text, 10, 64)
			return err
		}}
}

// floatField leaves out zeros of either sign: text keeps all that == can see.
func floatField(name string, of func(*Attrs) *float64) field {
	return field{name,
		func(a *Attrs) string {
			if *of(a) == 0 {
				return ""
			}
			return strconv.FormatFloat(*of(a), 'g', -1, 64)
		},
		func(a *Attrs, text string) (err error) {
			*of(a), err = strconv.ParseFloat(text, 64)
			return err
		}}
}

func enumField[E ~uint8](name string, names []string, of func(*Attrs) *E) field {
	return field{name,
		func(a *Attrs) string {
			if *of(a) == 0 {
				return ""
			}
			return enumName(names, name, int(*of(a)))
		},
		func(a *Attrs, text string) error {
			i, ok := enumValue(names, text)
			if !ok {
				return fmt.Errorf("%s: got %q, want one of %s",
					name, text, strings.Join(names[1:], ", "))
			}
			*of(a) = E(i)
			return nil
		}}
}

// winField prints "3x3/s2x2/d1x1/p1,1,1,1": kernel, strides, dilation, and
// padding at the top, bottom, left and right; parts that are the default
// (1, 1 and 0) are left out.
func winField(name string) field {
	return field{name,
		func(a *Attrs) string {
			if a.Win == (Window{}) {
				return ""
			}
			return a.Win.String()
		},
		func(a *Attrs, text string) (err error) {
			a.Win, err = parseWindow(text)
			return err
		}}
}

func dimsField(name string) field {
	return field{name,
		func(a *Attrs) string {
			if a.Dims == [4]int{} {
				return ""
			}
			n := len(a.Dims)
			for n > 0 && a.Dims[n-1] == 0 {
				n--
			}
			return ShapeText(a.Dims[:n])
		},
		func(a *Attrs, text string) error {
			dims, err := parseShape(text)
			if err != nil {
				return err
			}
			if len(dims) > len(a.Dims) {
				return fmt.Errorf("dims: got %d, want at most %d", len(dims), len(a.Dims))
			}
			a.Dims = [4]int{}
			copy(a.Dims[:], dims)
			return nil
		}}
}

// String returns the window's text form, such as "3x3/s2x2/p1,1,1,1".
func (w Window) String() string {
	text := fmt.Sprintf("%dx%d", w.KH, w.KW)
	if w.SH != 1 || w.SW != 1 {
		text += fmt.Sprintf("/s%dx%d", w.SH, w.SW)
	}
	if w.DH != 1 || w.DW != 1 {
		text += fmt.Sprintf("/d%dx%d", w.DH, w.DW)
	}
	if w.PT != 0 || w.PB != 0 || w.PL != 0 || w.PR != 0 {
		text += fmt.Sprintf("/p%d,%d,%d,%d", w.PT, w.PB, w.PL, w.PR)
	}
	return text
}

// parseWindow reads the form that String writes.
func parseWindow(text string) (Window, error) {
	w := Window{SH: 1, SW: 1, DH: 1, DW: 1}
	for i, part := range strings.Split(text, "/") {
		var err error
		switch {
		case i == 0:
			err = parseInts(part, "x", &w.KH, &w.KW)
		case strings.HasPrefix(part, "s"):
			err = parseInts(part[1:], "x", &w.SH, &w.SW)
		case strings.HasPrefix(part, "d"):
			err = parseInts(part[1:], "x", &w.DH, &w.DW)
		case strings.HasPrefix(part, "p"):
			err = parseInts(part[1:], ",", &w.PT, &w.PB, &w.PL, &w.PR)
		default:
			err = fmt.Errorf("got %q, want s, d or p", part)
		}
		if err != nil {
			return Window{}, fmt.Errorf("window %q: %w", text, err)
		}
	}
	return w, nil
}

// parseInts splits text at sep into exactly the given numbers.
func parseInts(text, sep string, to ...*int) error {
	parts := strings.Split(text, sep)
	if len(parts) != len(to) {
		return fmt.Errorf("got %q, want %d numbers", text, len(to))
	}
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil {
			return err
		}
		*to[i] = n
	}
	return nil
}

// ShapeText returns a shape as text, such as "[128,784]", or "[B,784]" and "[4B,784]"
// for any number of rows.
func ShapeText(shape []int) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range shape {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(dimText(d))
	}
	b.WriteByte(']')
	return b.String()
}

// dimText returns a dim as text.
func dimText(d int) string {
	switch {
	case d == B:
		return "B"
	case d < 0:
		return strconv.Itoa(-d) + "B"
	}
	return strconv.Itoa(d)
}

// parseDim reads the form that dimText writes.
func parseDim(text string) (int, error) {
	number, rows := strings.CutSuffix(text, "B")
	if rows && number == "" {
		return B, nil
	}
	d, err := strconv.Atoi(number)
	switch {
	case err != nil:
		return 0, err
	case d < 0 || rows && d == 0:
		return 0, fmt.Errorf("got dim %s, want a number or a multiple of B", text)
	case rows:
		return -d, nil
	}
	return d, nil
}

// parseShape reads the form that ShapeText writes.
func parseShape(text string) ([]int, error) {
	inner, ok := strings.CutPrefix(text, "[")
	if ok {
		inner, ok = strings.CutSuffix(inner, "]")
	}
	if !ok {
		return nil, fmt.Errorf("shape %q: want [d,d,...]", text)
	}
	if inner == "" {
		return nil, nil
	}
	var shape []int
	for part := range strings.SplitSeq(inner, ",") {
		d, err := parseDim(part)
		if err != nil {
			return nil, fmt.Errorf("shape %q: %w", text, err)
		}
		shape = append(shape, d)
	}
	return shape, nil
}
