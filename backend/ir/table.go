package ir

// An opRow says all that the grammar knows of an op. A new op is a row here, its
// infer function, and a kernel in each backend.
type opRow struct {
	name  string
	reads fieldSet // attributes that the op reads; the others must be zero
	infer func(c *check, a *Attrs) []Value
	// update: the outputs are variables, read and overwritten in place.
	update bool
	// ids: how many values the integers of input 1 may have, by the shape of input 0; nil:
	// any number.
	ids func(shape []int) int
	// optional: an output may be None, which says that it is not wanted.
	optional bool
}

const (
	readsAct   = fieldSet(1<<fAct | 1<<fAlpha)
	readsConv  = fieldSet(1<<fWin | 1<<fGroups)
	readsOptim = fieldSet(1<<fWeightDecay | 1<<fClipValue | 1<<fScale)
)

// ops is the grammar of instructions, by Op.
var ops = [NumOps]opRow{
	MatMul: {name: "matmul", infer: inferMatMul,
		reads: readsAct | 1<<fTransA | 1<<fTransB | 1<<fBias | 1<<fGradAct},
	Conv2D: {name: "conv2d", infer: inferConv2D, reads: readsAct | readsConv | 1<<fBias},
	Conv2DDX: {name: "conv2d_dx", infer: inferConv2DDX,
		reads: readsAct | readsConv | 1<<fDims | 1<<fGradAct},
	Conv2DDW: {name: "conv2d_dw", infer: inferConv2DDW, reads: readsConv},

	BiasAdd:     {name: "bias_add", infer: inferBiasAdd},
	BiasGrad:    {name: "bias_grad", infer: inferBiasGrad},
	Activation:  {name: "activation", infer: inferUnary, reads: readsAct},
	ActGrad:     {name: "act_grad", infer: inferActGrad, reads: readsAct},
	Softmax:     {name: "softmax", infer: inferUnary},
	SoftmaxGrad: {name: "softmax_grad", infer: inferSoftmaxGrad},
	Logit:       {name: "logit", infer: inferLogit, reads: 1 << fAlpha},
	Dropout:     {name: "dropout", infer: inferDropout, reads: 1<<fRate | 1<<fSeed},
	Add:         {name: "add", infer: inferAdd, reads: readsAct},
	Concat:      {name: "concat", infer: inferConcat, reads: 1 << fAxis},
	Slice:       {name: "slice", infer: inferSlice, reads: 1<<fAxis | 1<<fStart | 1<<fCount},

	Map:         {name: "map", infer: inferMap, reads: 1 << fExpr},
	Reduce:      {name: "reduce", infer: inferReduce, reads: 1<<fAxes | 1<<fReduction},
	Permute:     {name: "permute", infer: inferPermute, reads: 1 << fPerm},
	BatchMatMul: {name: "batch_matmul", infer: inferBatchMatMul, reads: 1<<fTransA | 1<<fTransB},

	MaxPool:     {name: "max_pool", infer: inferMaxPool, reads: 1 << fWin},
	MaxPoolGrad: {name: "max_pool_grad", infer: inferMaxPoolGrad, reads: 1 << fDims},
	AvgPool:     {name: "avg_pool", infer: inferAvgPool, reads: 1 << fWin},
	AvgPoolGrad: {name: "avg_pool_grad", infer: inferAvgPoolGrad, reads: 1<<fWin | 1<<fDims},

	BatchNorm:      {name: "batch_norm", infer: inferBatchNorm, reads: readsAct | 1<<fEps},
	BatchNormInfer: {name: "batch_norm_infer", infer: inferBatchNormInfer, reads: readsAct | 1<<fEps},
	BatchNormGrad: {name: "batch_norm_grad", infer: inferBatchNormGrad,
		reads: 1 << fEps, optional: true},
	LayerNorm: {name: "layer_norm", infer: inferLayerNorm, reads: 1 << fEps},
	LayerNormGrad: {name: "layer_norm_grad", infer: inferLayerNormGrad,
		reads: 1 << fEps, optional: true},
	Embedding:     {name: "embedding", infer: inferEmbedding, ids: func(table []int) int { return table[0] }},
	EmbeddingGrad: {name: "embedding_grad", infer: inferEmbeddingGrad, reads: 1 << fDims},

	SoftmaxXent:     {name: "softmax_xent", infer: inferSoftmaxXent, ids: last},
	SoftmaxXentGrad: {name: "softmax_xent_grad", infer: inferSoftmaxXentGrad},
	PointLoss:       {name: "point_loss", infer: inferPointLoss, reads: 1<<fLoss | 1<<fDelta},
	PointLossGrad:   {name: "point_loss_grad", infer: inferPointLossGrad, reads: 1<<fLoss | 1<<fDelta},
	Metric: {name: "metric", infer: inferMetric, reads: 1<<fMetric | 1<<fK | 1<<fThreshold,
		ids: func(out []int) int { return max(last(out), 2) }},

	Accumulate: {name: "accumulate", infer: inferUnary},
	ClipNorm:   {name: "clip_norm", infer: inferClipNorm, reads: 1 << fMax},
	SGD: {name: "sgd", infer: inferSGD, update: true,
		reads: readsOptim | 1<<fMomentum | 1<<fNesterov},
	Adam: {name: "adam", infer: inferAdam, update: true,
		reads: readsOptim | 1<<fBeta1 | 1<<fBeta2 | 1<<fEps | 1<<fAMSGrad},
	RMSProp: {name: "rmsprop", infer: inferRMSProp, update: true,
		reads: readsOptim | 1<<fBeta2 | 1<<fEps | 1<<fMomentum | 1<<fCentered},
	Adagrad: {name: "adagrad", infer: inferAdagrad, update: true, reads: readsOptim | 1<<fEps},
	EMA:     {name: "ema", infer: inferEMA, update: true, reads: 1 << fMomentum},
}

// Updates reports whether the op's outputs are variables that it reads and
// overwrites in place.
func (o Op) Updates() bool { return int(o) < NumOps && ops[o].update }

// IDs returns how many values, from 0 on, the integers of an instruction's input 1 may have,
// classes or ids; 0 where nothing bounds them.
func (p *Program) IDs(ins *Instr) int {
	if ids := ops[ins.Op].ids; ids != nil {
		return ids(p.Values[ins.In[0]].Shape)
	}
	return 0
}

// OptionalOut reports whether outputs of the op may be None.
func (o Op) OptionalOut() bool { return int(o) < NumOps && ops[o].optional }
