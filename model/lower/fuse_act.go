package lower

import "github.com/gespann/gespann/backend/ir"

// takesAct lists the ops with an activation as epilogue.
var takesAct = map[ir.Op]bool{
	ir.MatMul: true, ir.Conv2D: true, ir.Add: true, ir.BatchNorm: true, ir.BatchNormInfer: true,
}

// fuseActivation moves an activation into the instruction that computes its
// input, if nothing else reads that. The gradient of gelu and silu reads it, so
// these fuse only where there is no gradient.
//
//	t = matmul a, b; y = activation{relu} t   ->   y = matmul{act=relu} a, b
func fuseActivation(p *ir.Program) {
	u := newUsage(p)
	for i := range p.Instrs {
		reader := &p.Instrs[i]
		if reader.Op != ir.Activation || reader.Attrs.Act == ir.NoAct {
			continue
		}
		prod := u.producer(reader.In[0])
		if prod == nil || !takesAct[prod.Op] || prod.Attrs.Act != ir.NoAct {
			continue
		}
		prod.Attrs.Act, prod.Attrs.Alpha = reader.Attrs.Act, reader.Attrs.Alpha
		u.merge(prod, reader)
	}
	removeInvalid(p)
}
