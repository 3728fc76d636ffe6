package vec

import "github.com/gespann/gespann/backend/ir"

// Act computes y = act(x); alpha is the slope or scale of leaky ReLU and ELU.
func Act(act ir.Act, alpha float32, y, x []float32) {
	n := len(y)
	switch act {
	case ir.NoAct:
		copy(y, x[:n])
	case ir.ReLU:
		for i := reluAsm(y, x); i < n; i++ {
			y[i] = relu(x[i])
		}
	case ir.LeakyReLU:
		for i := leakyAsm(y, x, alpha); i < n; i++ {
			y[i] = leaky(x[i], alpha)
		}
	case ir.ELU:
		for i := eluAsm(y, x, alpha); i < n; i++ {
			y[i] = elu(x[i], alpha)
		}
	case ir.GELU:
		for i := geluAsm(y, x); i < n; i++ {
			_, q := tail(x[i])
			y[i] = x[i] * phi(x[i], q)
		}
	case ir.Sigmoid:
		for i := sigmoidAsm(y, x); i < n; i++ {
			y[i] = sigmoid(x[i])
		}
	case ir.Tanh:
		for i := tanhAsm(y, x); i < n; i++ {
			y[i] = tanhf(x[i])
		}
	case ir.Softplus:
		for i := softplusAsm(y, x); i < n; i++ {
			y[i] = relu(x[i]) + logTail(x[i])
		}
	case ir.SiLU:
		for i := siluAsm(y, x); i < n; i++ {
			y[i] = x[i] * sigmoid(x[i])
		}
	default:
		panic("vec: invariant: unknown activation")
	}
}

// relu keeps a NaN.
func relu(x float32) float32 {
	if 0 > x {
		return 0
	}
	return x
}

func leaky(x, alpha float32) float32 {
	if x >= 0 {
		return x
	}
	return x * alpha
}

func elu(x, alpha float32) float32 {
	if x >= 0 {
		return x
	}
	return expm1f(x) * alpha
}

// ActGrad computes dx = dy·act'(·) from ref, the activation's output, or its
// input where act.FromInput. At a kink it is the derivative from the left.
func ActGrad(act ir.Act, alpha float32, dx, ref, dy []float32) {
	n := len(dx)
	switch act {
	case ir.NoAct:
		copy(dx, dy[:n])
	case ir.ReLU:
		for i := reluGradAsm(dx, ref, dy); i < n; i++ {
			dx[i] = reluGrad(ref[i], dy[i])
		}
	case ir.LeakyReLU:
		for i := leakyGradAsm(dx, ref, dy, alpha); i < n; i++ {
			dx[i] = leakyGrad(ref[i], dy[i], alpha)
		}
	case ir.ELU:
		for i := eluGradAsm(dx, ref, dy, alpha); i < n; i++ {
			dx[i] = eluGrad(ref[i], dy[i], alpha)
		}
	case ir.GELU:
		for i := geluGradAsm(dx, ref, dy); i < n; i++ {
			dx[i] = dy[i] * geluGrad(ref[i])
		}
	case ir.Sigmoid:
		for i := sigmoidGradAsm(dx, ref, dy); i < n; i++ {
			dx[i] = dy[i] * float32(ref[i]*(1-ref[i]))
		}
	case ir.Tanh:
		for i := tanhGradAsm(dx, ref, dy); i < n; i++ {
			dx[i] = dy[i] * float32((1-ref[i])*(ref[i]+1))
		}
	case ir.Softplus:
		for i := softplusGradAsm(dx, ref, dy); i < n; i++ {
			dx[i] = dy[i] * -expm1f(-ref[i])
		}
	case ir.SiLU:
		for i := siluGradAsm(dx, ref, dy); i < n; i++ {
			s := sigmoid(ref[i])
			dx[i] = dy[i] * float32(s*mad(ref[i], 1-s, 1))
		}
	default:
		panic("vec: invariant: unknown activation")
	}
}

func reluGrad(y, dy float32) float32 {
	if y <= 0 {
		return 0
	}
	return dy
}

func leakyGrad(y, dy, alpha float32) float32 {
	if y <= 0 {
		return dy * alpha
	}
	return dy
}

func eluGrad(y, dy, alpha float32) float32 {
	if y <= 0 {
		return dy * (y + alpha)
	}
	return dy
}

// geluGrad is Φ(x) + x·φ(x).
func geluGrad(x float32) float32 {
	e, q := tail(x)
	return phi(x, q) + float32(float32(x*e)*0.3989422804014327)
}
