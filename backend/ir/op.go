package ir

// Letters: B batch rows, R rows (all dims but the last), C channels or classes
// (the last dim), H W height and width, O output channels, G groups, n number of
// variables. Float unless marked int. A trailing ? is an optional input, present
// when the named attribute is set.

// An Op names what an instruction computes. The comment of each gives inputs ->
// outputs, the formula, and the attributes it reads.
type Op uint8

const (
	// Invalid is no op.
	Invalid Op = iota

	// MatMul: a, b, bias[n]?, ref[m,n]? -> y[m,n].
	//	y = epilogue(op(a)·op(b)), op(a) is [m,k], op(b) is [k,n]
	// TransA: a is stored [k,m]. TransB: b is stored [n,k]. Epilogue, in order:
	// Bias: + bias[j]. Act: act(·). GradAct: · act'(ref[i,j]) with ref as for
	// ActGrad. Act and GradAct exclude one another.
	MatMul
	// Conv2D: x[B,H,W,C], w[KH,KW,C/G,O], bias[O]? -> y[B,OH,OW,O].
	//	y[b,i,j,o] = Σ x[b, i·SH+p·DH−PT, j·SW+q·DW−PL, c]·w[p,q,c,o]
	// over the c of o's group; outside x is 0. Win, Groups; epilogue Bias, Act.
	Conv2D
	// Conv2DDX: w, dy[B,OH,OW,O], ref[B,H,W,C]? -> dx[B,H,W,C]. Win, Groups,
	// Dims (the shape of dx); epilogue GradAct.
	Conv2DDX
	// Conv2DDW: x, dy -> dw[KH,KW,C/G,O]. Win, Groups.
	Conv2DDW

	// BiasAdd: x[R,C], b[C] -> y[R,C] (any rank; the last dim is C).
	BiasAdd
	// BiasGrad: dy[R,C] -> db[C] = Σ_r dy[r,c].
	BiasGrad
	// Activation: x -> y = act(x). Act, Alpha.
	Activation
	// ActGrad: ref, dy -> dx = dy · act'(·). ref is y = act(x), or x for the
	// activations whose FromInput is true. Act, Alpha.
	ActGrad
	// Softmax: x[R,C] -> y[R,C], over the last dim.
	Softmax
	// SoftmaxGrad: y, dy -> dx = y·(dy − Σ_c dy·y).
	SoftmaxGrad
	// Logit: p -> x, what softmax (Alpha 0) or sigmoid (Alpha 1) makes p of, but for
	// a constant.
	//	x = log max(p, 2⁻¹²⁶) − Alpha·log max(1−p, 2⁻²⁴)
	// The bounds are the least normal float32, and the least that is left of 1 there;
	// so x is finite. It has no gradient. Alpha.
	Logit
	// Dropout: x, tick int[1] -> y[i] = x[i]·s if Keep(Seed,tick,i) else 0, with
	// s = 1/(1−Rate) rounded to the element type. Its gradient is the same op on
	// dy. Rate, Seed.
	Dropout
	// Add: a, b -> y = a + b, same shape; Act, Alpha as epilogue.
	Add
	// Concat: x1..xn -> y, along Axis.
	Concat
	// Slice: x -> y: Start ≤ index < Start+Count along Axis.
	Slice

	// Map: x0..xn -> y = Expr(x0, ..., xn), element by element. The shape of y is that
	// which the inputs have when broadcast as in NumPy: shapes are aligned at their last
	// dims, and a dim of 1, or one that is not there, goes with any other. Expr.
	Map
	// Reduce: x -> y: the sum or the maximum over Axes, whose dims are 1 in y. A NaN
	// makes the maximum one. Axes, Reduction.
	Reduce
	// Permute: x -> y, whose axis i is axis Perm[i] of x. Perm.
	Permute
	// BatchMatMul: a[...,m,k], b[...,k,n] -> y[...,m,n], a product for each index of the
	// leading dims, which are the same in a and b. TransA: a is stored [...,k,m].
	// TransB: b is stored [...,n,k]. It is in float32 whatever the precision of a session.
	BatchMatMul

	// MaxPool: x[B,H,W,C] -> y[B,OH,OW,C], arg int[B,OH,OW,C]: index into H·W·C
	// of the first maximum of the window, or of a NaN in it; padding never wins.
	// Win, undilated.
	MaxPool
	// MaxPoolGrad: arg, dy -> dx[B,H,W,C] (Dims): sums dy at arg. Windows may
	// overlap.
	MaxPoolGrad
	// AvgPool: x -> y: mean over the window's positions inside x. Win, undilated.
	AvgPool
	// AvgPoolGrad: dy -> dx (Dims). Win.
	AvgPoolGrad

	// BatchNorm: x[R,C], gamma[C], beta[C] -> y, mean[C], variance[C] (biased).
	//	y = gamma·(x−mean)/sqrt(variance+Eps) + beta
	// Mean and variance are of all rows of a gradient run: where parts of it are computed
	// apart, they meet here, and at BatchNormGrad (package meet). Eps; Act, Alpha as
	// epilogue.
	BatchNorm
	// BatchNormInfer: x, gamma, beta, mean, variance -> y. Eps; Act, Alpha as
	// epilogue.
	BatchNormInfer
	// BatchNormGrad: x, gamma, mean, variance, dy -> dx, dgamma[C], dbeta[C]. Of a part,
	// dgamma and dbeta are those of its own rows.
	// An Out that is None is not wanted. Eps.
	BatchNormGrad
	// LayerNorm: x[R,C], gamma[C], beta[C] -> y, mean[R], rstd[R], over the last
	// dim. Eps.
	LayerNorm
	// LayerNormGrad: x, gamma, mean, rstd, dy -> dx, dgamma, dbeta. An Out that
	// is None is not wanted. mean need only be near: what is left of it is the mean
	// of x − mean. Eps.
	LayerNormGrad
	// Embedding: table[V,D], ids int[...] -> y[...,D]. An id outside [0,V) is an
	// error of the data, checked before the run; here it stands for zeros.
	Embedding
	// EmbeddingGrad: ids int[...], dy[...,D] -> dtable (Dims).
	EmbeddingGrad

	// SoftmaxXent: logits[R,C], target -> loss[1], prob[R,C].
	//	loss = 1/R Σ_r (lse_r·Σ_c t[r,c] − Σ_c t[r,c]·x[r,c])
	// target is int[R] (t is its one-hot row, zeros for a class outside [0,C)) or
	// [R,C]. The row maximum is subtracted first, so finite logits never overflow.
	SoftmaxXent
	// SoftmaxXentGrad: prob, target, dloss[1] -> dx = (prob·Σ_c t − t)·dloss/R.
	SoftmaxXentGrad
	// PointLoss: x, target (same shape, n elements) -> loss[1] = 1/n Σ l(x,t).
	// Loss says which l; Delta for Huber.
	PointLoss
	// PointLossGrad: x, target, dloss[1] -> dx = l'(x,t)·dloss/n.
	PointLossGrad

	// Metric: out[B,...,C], target -> [1], or [C,C] for Confusion (row = true
	// class): a sum over the B rows of the batch, of the mean over a row's R/B
	// positions (confusion counts every position). Metric says which, K for top-k,
	// Threshold. A class outside [0,C) is never right and never counted. Nor is a NaN,
	// nor a row with one, or whose largest element is infinite, so that its softmax is
	// NaN: the rows of a confusion matrix then add up to less than there are.
	Metric

	// Accumulate: g -> acc += g.
	Accumulate

	// ClipNorm: g1..gn -> scale[1] = min(1, Max/‖(g1..gn)‖₂).
	ClipNorm
	// SGD: rate, step, scale?, g1..gn -> p1..pn, m1..mn (when Momentum ≠ 0).
	// The optimisers first take g = clamp(scale·g, ±ClipValue) and shrink p by
	// rate·WeightDecay·p (decoupled), then:
	//	m = Momentum·m − rate·g
	//	p += m, or with Nesterov p += Momentum·m − rate·g, or without m p −= rate·g
	SGD
	// Adam: rate, step, scale?, g.. -> p.., m.., v.., vmax.. (when AMSGrad).
	//	m += (g−m)(1−Beta1); v += (g²−v)(1−Beta2)
	//	p −= rate·sqrt(1−Beta2^t)/(1−Beta1^t)·m/(sqrt(v or max v)+Eps)
	Adam
	// RMSProp: rate, step, scale?, g.. -> p.., v.., avg.. (when Centered), m..
	// (when Momentum ≠ 0).
	//	v = Beta2·v + (1−Beta2)g²; avg = Beta2·avg + (1−Beta2)g
	//	d = rate·g/sqrt(max(v − avg², 0) + Eps)
	//	p −= d, or m = Momentum·m + d, p −= m
	// Without Centered avg is 0. The maximum is against rounding.
	RMSProp
	// Adagrad: rate, step, scale?, g.. -> p.., a...
	//	a += g²; p −= rate·g/sqrt(a+Eps)
	Adagrad
	// EMA: s1..sn -> state1..n: state = Momentum·state + (1−Momentum)·s.
	EMA

	numOps
)

// NumOps is the number of ops, Invalid included.
const NumOps = int(numOps)

// An Act is an elementwise activation. Alpha is ≥ 0, so that the sign of the
// output tells that of the input. NaN stays NaN.
type Act uint8

const (
	// NoAct is the identity.
	NoAct Act = iota
	// ReLU is max(0, x).
	ReLU
	// LeakyReLU is x for x ≥ 0, else Alpha·x.
	LeakyReLU
	// ELU is x for x ≥ 0, else Alpha·(eˣ−1).
	ELU
	// GELU is x·Φ(x), with the exact normal distribution Φ.
	GELU
	// Sigmoid is 1/(1+e⁻ˣ).
	Sigmoid
	// Tanh is the hyperbolic tangent.
	Tanh
	// Softplus is log(1+eˣ).
	Softplus
	// SiLU is x/(1+e⁻ˣ).
	SiLU

	numActs
)

// FromInput reports whether the derivative of a is computed from the
// activation's input x; the others need only its output.
func (a Act) FromInput() bool { return a == GELU || a == SiLU }

// A Loss is an elementwise loss l(x, t) of PointLoss.
type Loss uint8

const (
	// NoLoss is none.
	NoLoss Loss = iota
	// SquaredError is (x−t)².
	SquaredError
	// AbsError is |x−t|; its derivative at 0 is 0.
	AbsError
	// Huber is (x−t)²/2 for |x−t| ≤ Delta, else Delta·|x−t| − Delta²/2.
	Huber
	// SigmoidXent is max(x,0) − x·t + log(1+e^−|x|), x a logit.
	SigmoidXent

	numLosses
)

// A MetricKind says what Metric sums over the rows.
type MetricKind uint8

const (
	// NoMetric is none.
	NoMetric MetricKind = iota
	// Accuracy is 1 where argmax out = the class (int[R], or argmax of [R,C]).
	// The first of equal maxima wins.
	Accuracy
	// TopK is 1 where fewer than K classes score higher than the true one, or
	// equal with a lower index.
	TopK
	// BinaryAccuracy is 1 for each element where (out > Threshold) = (t > 0.5).
	BinaryAccuracy
	// MAE is |out − t| of each element.
	MAE
	// Confusion counts pairs (true class, argmax out) in a [C,C] matrix. With a
	// single output column it has two classes, split at Threshold.
	Confusion

	numMetrics
)

// A Reduction says what Reduce makes of many numbers.
type Reduction uint8

const (
	// NoReduction is none.
	NoReduction Reduction = iota
	// Sum is their sum.
	Sum
	// Maximum is the largest, or NaN if there is one.
	Maximum

	numReductions
)

// Axes is a set of axes of a tensor.
type Axes uint8

// AxesOf returns a set of axes, each 0 to 7.
func AxesOf(axes ...int) (s Axes) {
	for _, a := range axes {
		s |= 1 << a
	}
	return s
}

// Has reports whether an axis is in the set.
func (s Axes) Has(axis int) bool { return s>>axis&1 != 0 }

// A Perm is an order of axes: a digit each, such as "0213".
type Perm string

// PermOf returns an order of axes, each 0 to 7.
func PermOf(axes ...int) Perm {
	text := make([]byte, len(axes))
	for i, a := range axes {
		text[i] = '0' + byte(a)
	}
	return Perm(text)
}

// Axis returns the axis at place i.
func (p Perm) Axis(i int) int { return int(p[i] - '0') }

// Inverse returns the order that undoes p.
func (p Perm) Inverse() Perm {
	axes := make([]int, len(p))
	for i := range axes {
		axes[p.Axis(i)] = i
	}
	return PermOf(axes...)
}

// A Window is the geometry of a convolution or pooling.
type Window struct {
	KH, KW         int // kernel
	SH, SW         int // strides
	DH, DW         int // dilation
	PT, PB, PL, PR int // padding, smaller than the kernel's reach: top, bottom, left, right
}

// Out returns the output height and width for an input of h by w.
func (w Window) Out(h, width int) (oh, ow int) {
	oh = (h+w.PT+w.PB-(w.KH-1)*w.DH-1)/w.SH + 1
	ow = (width+w.PL+w.PR-(w.KW-1)*w.DW-1)/w.SW + 1
	return oh, ow
}

// Attrs are the parameters of an instruction; each op reads those that its
// comment names, the others are zero. The struct is comparable.
type Attrs struct {
	TransA, TransB bool
	Bias           bool // a bias input follows
	GradAct        bool // the epilogue multiplies by act'(ref)
	Act            Act
	Alpha          float64
	Win            Window
	Groups         int
	Dims           [4]int // shape of the output where inputs do not give it; 0 = unused
	Axis           int
	Start, Count   int
	Rate           float64
	Seed           uint64
	Loss           Loss
	Delta          float64
	Metric         MetricKind
	K              int
	Threshold      float64
	Eps            float64
	Momentum       float64
	Nesterov       bool
	Beta1, Beta2   float64
	AMSGrad        bool
	Centered       bool
	WeightDecay    float64
	ClipValue      float64 // 0: none
	Scale          bool    // a gradient scale input follows step
	Max            float64
	Expr           Expr
	Axes           Axes
	Reduction      Reduction
	Perm           Perm
}

// Keep reports whether Dropout keeps element i: a counter-based hash of the
// layer's seed, the run's tick and the index, so that no mask is stored, and any
// device computes the same one.
func Keep(key [2]uint32, i, threshold uint32) bool {
	return mix(mix(i^key[0])+key[1]) >= threshold
}

// KeepKey derives the key of Keep from a layer's seed and a run's tick.
func KeepKey(seed uint64, tick int32) [2]uint32 {
	z := seed + (uint64(uint32(tick))+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return [2]uint32{uint32(z), uint32(z >> 32)}
}

// KeepThreshold returns the threshold of Keep for a drop rate in [0, 1).
func KeepThreshold(rate float64) uint32 { return uint32(rate * (1 << 32)) }

// mix is a bijective 32-bit hash: two xor-shift-multiply rounds with the
// constants of C. Wellons' hash-prospector.
func mix(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x21f0aaad
	x ^= x >> 15
	x *= 0x735a2d97
	return x ^ x>>15
}
