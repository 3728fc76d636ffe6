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
// p = Decay·p − Rate·m/(√v + eps); Rate includes the bias correction. When
// largest is not nil it becomes max(largest, v) and takes the place of v in the
// last line; a NaN in v stays.
func Adam(p, m, v, largest, g []float32, s Step, c1, c2, eps float32) {
	var i int
	if largest == nil {
		i = adamAsm(p, m, v, g, s.Decay, s.Clip, s.Scale, s.Rate, c1, c2, eps)
	} else {
		i = amsgradAsm(p, m, v, largest, g, s.Decay, s.Clip, s.Scale, s.Rate, c1, c2, eps)
	}
	for ; i < len(p); i++ {
		d := s.gradient(g[i])
		m[i] += float32((d - m[i]) * c1)
		v[i] += float32((float32(d*d) - v[i]) * c2)
		second := v[i]
		if largest != nil {
			if largest[i] > second {
				second = largest[i]
			}
			largest[i] = second
		}
		p[i] = float32(p[i]*s.Decay) - float32(m[i]*s.Rate)/(sqrt(second)+eps)
	}
}

func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// RMS are the constants of RMSProp: averages keep Beta and take Take of what is
// new.
type RMS struct{ Beta, Take, Eps, Momentum float32 }

// RMSProp computes v = Beta·v + Take·g², avg = Beta·avg + Take·g and
//
//	d = Rate·g/√(max(v − avg², 0) + Eps)
//
// then p = Decay·p − d, or m = Momentum·m + d and p = Decay·p − m. Without avg or
// m, which may be nil, they count as 0.
func RMSProp(p, v, avg, m, g []float32, s Step, r RMS) {
	i := 0
	if avg == nil && m == nil {
		i = rmsPropAsm(p, v, g, s.Clip, s.Scale, s.Decay, s.Rate, r.Beta, r.Take, r.Eps)
	}
	for ; i < len(p); i++ {
		d := s.gradient(g[i])
		v[i] = float32(r.Beta*v[i]) + float32(r.Take*float32(d*d))
		second := v[i]
		if avg != nil {
			avg[i] = float32(r.Beta*avg[i]) + float32(r.Take*d)
			second = max(second-float32(avg[i]*avg[i]), 0)
		}
		d = float32(s.Rate*d) / sqrt(second+r.Eps)
		if m != nil {
			d += float32(r.Momentum * m[i])
			m[i] = d
		}
		p[i] = float32(p[i]*s.Decay) - d
	}
}

// Adagrad computes a += g² and p = Decay·p − Rate·g/√(a+eps).
func Adagrad(p, a, g []float32, s Step, eps float32) {
	i := adagradAsm(p, a, g, s.Clip, s.Scale, s.Decay, s.Rate, eps)
	for ; i < len(p); i++ {
		d := s.gradient(g[i])
		a[i] += float32(d * d)
		p[i] = float32(p[i]*s.Decay) - float32(s.Rate*d)/sqrt(a[i]+eps)
	}
}
