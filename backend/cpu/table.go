package cpu

import "github.com/gespann/gespann/backend/ir"

// kernels says how each op is compiled.
var kernels = [ir.NumOps]func(c *call) step{
	ir.MatMul:   matMul,
	ir.Conv2D:   conv2D,
	ir.Conv2DDX: conv2DDX,
	ir.Conv2DDW: conv2DDW,

	ir.BiasAdd:     biasAdd,
	ir.BiasGrad:    biasGrad,
	ir.Activation:  activation,
	ir.ActGrad:     actGrad,
	ir.Softmax:     softmax,
	ir.SoftmaxGrad: softmaxGrad,
	ir.Logit:       logit,
	ir.Dropout:     dropout,
	ir.Add:         add,
	ir.Concat:      concat,
	ir.Slice:       slice,

	ir.Map:         mapped,
	ir.Reduce:      reduce,
	ir.Permute:     permute,
	ir.BatchMatMul: batchMatMul,

	ir.MaxPool:     maxPool,
	ir.MaxPoolGrad: maxPoolGrad,
	ir.AvgPool:     avgPool,
	ir.AvgPoolGrad: avgPoolGrad,

	ir.BatchNorm:      batchNorm,
	ir.BatchNormInfer: batchNormInfer,
	ir.BatchNormGrad:  batchNormGrad,
	ir.LayerNorm:      layerNorm,
	ir.LayerNormGrad:  layerNormGrad,
	ir.Embedding:      embedding,
	ir.EmbeddingGrad:  embeddingGrad,

	ir.SoftmaxXent:     softmaxXent,
	ir.SoftmaxXentGrad: softmaxXentGrad,
	ir.PointLoss:       pointLoss,
	ir.PointLossGrad:   pointLossGrad,
	ir.Metric:          metric,

	ir.Accumulate: accumulate,
	ir.ClipNorm:   clipNorm,
	ir.SGD:        sgd,
	ir.Adam:       adam,
	ir.RMSProp:    rmsProp,
	ir.Adagrad:    adagrad,
	ir.EMA:        ema,
}
