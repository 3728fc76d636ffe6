package vec

import "math"

// A Step is what the optimisers have in common: one step of a parameter takes
// the gradient g = clamp(Scale·g, ±Clip) and shrinks p to Decay·p.
type Step struct {
	Scale float32 // 1: as it is
	Clip  float32 // +Inf: none
	Decay float32 // 1 − rate·decay
	Rate  float32
}

// gradient keeps a NaN.
func (s *Step) gradient(g float32) float32 {
	g = g * s.Scale
	if s.Clip < g {
		g = s.Clip
	}
	if -s.Clip > g {
		g = -s.Clip
	}
	return g
}

// SGD computes p = Decay·p − Rate·g.
func SGD(p, g []float32, s Step) {
	i := sgdAsm(p, g, s.Clip, s.Scale, s.Decay, s.Rate)
	for ; i < len(p); i++ {
		p[i] = float32(p[i]*s.Decay) - float32(s.gradient(g[i])*s.Rate)
	}
}

// Momentum computes m = momentum·m − Rate·g and p = Decay·p + m.
func Momentum(p, m, g []float32, s Step, momentum float32) {
	i := momentumAsm(p, m, g, s.Clip, s.Scale, s.Decay, s.Rate, momentum)
	for ; i < len(p); i++ {
		m[i] = float32(m[i]*momentum) - float32(s.gradient(g[i])*s.Rate)
		p[i] = float32(p[i]*s.Decay) + m[i]
	}
}

// Nesterov computes m as Momentum and p = Decay·p + momentum·m − Rate·g.
func Nesterov(p, m, g []float32, s Step, momentum float32) {
	i := nesterovAsm(p, m, g, s.Clip, s.Scale, s.Decay, s.Rate, momentum)
	for ; i < len(p); i++ {
		step := float32(s.gradient(g[i]) * s.Rate)
		m[i] = float32(m[i]*momentum) - step
		p[i] = float32(p[i]*s.Decay) + (float32(m[i]*momentum) - step)
	}
}

// Adam computes m += c1·(g−m), v += c2·(g²−v) and
// p = Decay·p − Rate·m/(√v + eps); Rate includes the bias correction. When vmax
// is not nil it becomes max(vmax, v) and takes the place of v in the last line.
func Adam(p, m, v, vmax, g []float32, s Step, c1, c2, eps float32) {
	i := 0
	if vmax == nil {
		i = adamAsm(p, m, v, g, s.Clip, s.Scale, s.Decay, s.Rate, c1, c2, eps)
	}
	for ; i < len(p); i++ {
		d := s.gradient(g[i])
		m[i] += float32((d - m[i]) * c1)
		v[i] += float32((float32(d*d) - v[i]) * c2)
		second := v[i]
		if vmax != nil {
			vmax[i] = max(vmax[i], second)
			second = vmax[i]
		}
		p[i] = float32(p[i]*s.Decay) - float32(m[i]*s.Rate)/(sqrt(second)+eps)
	}
}

func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }
