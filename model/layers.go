package model

import G "gorgonia.org/gorgonia"

// A layerKind says what a layer takes and how it is built. A new kind of layer
// is a struct in package spec, a row here, and its build function.
type layerKind struct {
	build func(c *construction, in []*G.Node) *G.Node
	takes inputType
}

// An inputType says which type of input a layer takes.
type inputType uint8

const (
	floats inputType = iota
	integers
	anyType
)

// builders lists the kinds, by their YAML key. "repeat" is not among them: it is
// unrolled before.
var builders = map[string]layerKind{
	"dense":                    {build: buildDense},
	"activation":               {build: buildActivation},
	"dropout":                  {build: buildDropout},
	"flatten":                  {build: buildFlatten, takes: anyType},
	"reshape":                  {build: buildReshape, takes: anyType},
	"conv2d":                   {build: buildConv2D},
	"max_pooling2d":            {build: buildPool2D},
	"average_pooling2d":        {build: buildPool2D},
	"global_average_pooling2d": {build: buildGlobalAveragePooling2D},
	"batch_normalization":      {build: buildBatchNormalization},
	"layer_normalization":      {build: buildLayerNormalization},
	"embedding":                {build: buildEmbedding, takes: integers},
	"add":                      {build: buildAdd},
	"concatenate":              {build: buildConcatenate},
}
