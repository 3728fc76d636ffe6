package model

import (
	G "gorgonia.org/gorgonia"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/model/spec"
)

// buildEmbedding looks up a vector for each id: ids [...] -> [..., output_dim].
func buildEmbedding(c *construction, in []*G.Node) *G.Node {
	p := c.params.(*spec.Embedding)
	table := c.param("embeddings", p.EmbeddingsInitializer, p.InputDim, p.OutputDim)
	return c.apply(ir.Embedding, ir.Attrs{}, table, in[0])
}

// wantsIntegers reports whether the data goes into an embedding.
func wantsIntegers(layers []*layer) bool {
	ids := make([]bool, len(layers)) // whether a layer only passes the data on
	for i, l := range layers {
		for _, k := range l.inputs {
			if k != dataInput && !ids[k] {
				continue
			}
			switch l.kind {
			case "embedding":
				return true
			case "flatten", "reshape":
				ids[i] = true
			}
		}
	}
	return false
}
