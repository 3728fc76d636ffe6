package strategy

// between adds to the variances of c, which has the mean of commits by steps, what their
// means differ by:
//
//	variance = E[variance] + E[(mean − E[mean])²]
//
// E[mean] is taken as c has it, rounded: so equal means add nothing.
func (p Params) between(c []float32, commits [][]float32, steps []int) {
	total := 0
	for _, s := range steps {
		total += s
	}
	if total == 0 {
		return
	}
	for _, m := range p.Moments {
		means, variances := c[m.Mean.Lo:m.Mean.Hi], c[m.Variance.Lo:m.Variance.Hi]
		for i, mean := range means {
			sum := float64(variances[i])
			for k, w := range commits {
				d := float64(w[m.Mean.Lo+i]) - float64(mean)
				sum += float64(d*d) * (float64(steps[k]) / float64(total))
			}
			variances[i] = float32(sum)
		}
	}
}

// apart adds to the variances of x what makes c + share·(x − c) that of both together,
// means being as they were before that:
//
//	x + (1 − share)·(mean(x) − mean(c))²
func (p Params) apart(c, x []float32, share float32) {
	for _, m := range p.Moments {
		variances := x[m.Variance.Lo:m.Variance.Hi]
		for i := range variances {
			d := x[m.Mean.Lo+i] - c[m.Mean.Lo+i]
			variances[i] += float32(float32(d*d) * (1 - share))
		}
	}
}
