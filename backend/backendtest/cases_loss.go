package backendtest

import (
	"fmt"

	"github.com/gespann/gespann/backend/ir"
)

// lossCases returns the cases of losses and metrics.
func lossCases() map[ir.Op][]opCase {
	cases := map[ir.Op][]opCase{}
	for _, s := range [][2]int{{1, 1}, {1, 10}, {7, 3}, {128, 10}, {13, 17}, {5, 1000}, {1031, 2}} {
		addXentCases(cases, s[0], s[1])
		addMetricCases(cases, s[0], s[1])
	}
	for _, shape := range shapes {
		addPointLossCases(cases, shape)
	}
	cases[ir.Metric] = append(cases[ir.Metric], rankThreeMetrics()...)
	return cases
}

func addXentCases(cases map[ir.Op][]opCase, rows, cols int) {
	x := []int{rows, cols}
	tol := near(1e-5, 1e-6, "measured: exp and log within 1e-6; margin 4")
	grad := near(0, 2e-6, "measured: one product and one difference of numbers up to 1; margin 4")
	for _, target := range []struct {
		name string
		arg  arg
	}{
		{"classes", indices(cols, rows)}, {"wild", wild(cols, rows)}, {"one-hot", bits(rows, cols)},
		{"rows", positive(rows, cols)},
	} {
		name := fmt.Sprintf("%dx%d/%s", rows, cols, target.name)
		cases[ir.SoftmaxXent] = append(cases[ir.SoftmaxXent],
			opCase{name: name, in: []arg{scaled(5, x...), target.arg}, tol: tol})
		cases[ir.SoftmaxXentGrad] = append(cases[ir.SoftmaxXentGrad],
			opCase{name: name, in: []arg{positive(x...), target.arg, constant(0.25)}, tol: grad})
	}
	huge := near(2e-3, 2e-3, "logits of 1e4 are known to 5e-4 only")
	cases[ir.SoftmaxXent] = append(cases[ir.SoftmaxXent], opCase{name: fmt.Sprintf("%dx%d/huge", rows, cols),
		in: []arg{scaled(1e4, x...), indices(cols, rows)}, tol: huge})
}

func addMetricCases(cases map[ir.Op][]opCase, rows, cols int) {
	x := []int{rows, cols}
	add := func(name string, a ir.Attrs, tol tolerance, out, target arg) {
		cases[ir.Metric] = append(cases[ir.Metric], opCase{
			name: fmt.Sprintf("%dx%d/%v/%s", rows, cols, a.Metric, name), attrs: a,
			in: []arg{out, target}, tol: tol})
	}
	mean := near(1e-5, 0, "γ of 1000 terms of one sign, divided once")
	for _, out := range []struct {
		name string
		arg  arg
	}{{"random", normal(x...)}, {"ties", grid(x...)}} {
		for _, target := range []struct {
			name string
			arg  arg
		}{{"classes", indices(cols, rows)}, {"wild", wild(cols, rows)}, {"rows", grid(x...)}} {
			name := out.name + "/" + target.name
			add(name, ir.Attrs{Metric: ir.Accuracy}, exactly, out.arg, target.arg)
			add(name, ir.Attrs{Metric: ir.TopK, K: 1}, exactly, out.arg, target.arg)
			add(name+"/5", ir.Attrs{Metric: ir.TopK, K: 5}, exactly, out.arg, target.arg)
			add(name, ir.Attrs{Metric: ir.Confusion}, exactly, out.arg, target.arg)
		}
		add(out.name, ir.Attrs{Metric: ir.BinaryAccuracy, Threshold: 0.5}, mean, out.arg, bits(x...))
		add(out.name, ir.Attrs{Metric: ir.MAE}, mean, out.arg, normal(x...))
	}
	addHoledMetrics(add, rows, cols)
	if cols == 1 {
		split := ir.Attrs{Metric: ir.Confusion, Threshold: 0.5}
		add("split", split, exactly, positive(x...), indices(2, rows))
		add("split rows", split, exactly, positive(x...), bits(x...))
	}
}

// addHoledMetrics adds the metrics that count rows, of outputs and targets with NaN
// in some rows and in all elements, and of outputs with infinities.
func addHoledMetrics(add func(string, ir.Attrs, tolerance, arg, arg), rows, cols int) {
	x := []int{rows, cols}
	mean := near(1e-5, 0, "γ of 1000 terms of one sign, divided once")
	for _, every := range []int{1, 2 * cols} {
		name := fmt.Sprintf("one in %d", every)
		out, values := holed(every, grid(x...)), holed(every, bits(x...))
		for _, a := range []ir.Attrs{{Metric: ir.Accuracy}, {Metric: ir.TopK, K: 5}, {Metric: ir.Confusion, Threshold: 0.5}} {
			add(name, a, exactly, out, indices(cols, rows))
			add(name+"/rows", a, exactly, out, values)
		}
		if cols > 1 {
			inf := infinite(every, grid(x...))
			add(name+"/inf", ir.Attrs{Metric: ir.Accuracy}, exactly, inf, indices(cols, rows))
			add(name+"/inf", ir.Attrs{Metric: ir.TopK, K: 5}, exactly, inf, indices(cols, rows))
			add(name+"/inf", ir.Attrs{Metric: ir.Confusion}, exactly, inf, indices(cols, rows))
		}
		binary := ir.Attrs{Metric: ir.BinaryAccuracy, Threshold: 0.5}
		add(name, binary, mean, out, bits(x...))
		add(name+"/rows", binary, mean, out, values)
	}
}

// rankThreeMetrics returns cases where a row of the batch has several positions.
func rankThreeMetrics() []opCase {
	x := []int{3, 4, 5}
	labels := []arg{grid(x...), indices(5, 3, 4)}
	tol := near(1e-6, 0, "up to 60 terms, divided once")
	return []opCase{
		{name: "3d/accuracy", attrs: ir.Attrs{Metric: ir.Accuracy}, in: labels, tol: tol},
		{name: "3d/top_k", attrs: ir.Attrs{Metric: ir.TopK, K: 2}, in: labels, tol: tol},
		{name: "3d/confusion", attrs: ir.Attrs{Metric: ir.Confusion}, in: labels, tol: tol},
		{name: "3d/mae", attrs: ir.Attrs{Metric: ir.MAE},
			in: []arg{grid(x...), normal(x...)}, tol: tol},
		{name: "3d/binary", attrs: ir.Attrs{Metric: ir.BinaryAccuracy},
			in: []arg{grid(x...), bits(x...)}, tol: tol},
	}
}

func addPointLossCases(cases map[ir.Op][]opCase, shape []int) {
	for _, a := range []ir.Attrs{
		{Loss: ir.SquaredError}, {Loss: ir.AbsError}, {Loss: ir.Huber, Delta: 0.7}, {Loss: ir.SigmoidXent},
	} {
		target := normal(shape...)
		if a.Loss == ir.SigmoidXent {
			target = bits(shape...)
		}
		name := text(shape) + "/" + a.Loss.String()
		cases[ir.PointLoss] = append(cases[ir.PointLoss],
			opCase{name: name, attrs: a, in: []arg{scaled(3, shape...), target},
				tol: near(1e-5, 0, "measured: a sum of terms of one sign; margin 4")},
			opCase{name: name + "/ties", attrs: a, in: []arg{grid(shape...), bits(shape...)},
				tol: near(1e-5, 0, "measured: a sum of terms of one sign; margin 4")})
		cases[ir.PointLossGrad] = append(cases[ir.PointLossGrad],
			opCase{name: name, attrs: a, in: []arg{scaled(3, shape...), target, constant(0.25)},
				tol: near(1e-6, 1e-6, "measured: a few roundings; margin 4")},
			opCase{name: name + "/ties", attrs: a, in: []arg{grid(shape...), bits(shape...), constant(0.25)},
				tol: near(1e-6, 1e-6, "measured: a few roundings; margin 4")})
	}
}
