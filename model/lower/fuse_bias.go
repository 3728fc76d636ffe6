package lower

import "github.com/gespann/gespann/backend/ir"

// fuseBias moves the addition of a bias into the product or convolution that
// nothing else reads:
//
//	t = matmul a, b; y = bias_add t, c   ->   y = matmul{bias} a, b, c
func fuseBias(p *ir.Program) {
	u := newUsage(p)
	for i := range p.Instrs {
		reader := &p.Instrs[i]
		if reader.Op != ir.BiasAdd {
			continue
		}
		x, bias := reader.In[0], reader.In[1]
		prod := u.producer(x)
		if prod == nil || prod.Op != ir.MatMul && prod.Op != ir.Conv2D || !plain(prod) {
			continue
		}
		_, columns := ir.Rows(p.Values[prod.Out[0]].Shape)
		if columns != p.Values[bias].Size() || !u.before(bias, prod) {
			continue
		}
		prod.Attrs.Bias = true
		prod.In = append(prod.In, bias)
		u.merge(prod, reader)
	}
	removeInvalid(p)
}

// plain reports whether an instruction has no epilogue yet.
func plain(in *ir.Instr) bool {
	return !in.Attrs.Bias && !in.Attrs.GradAct && in.Attrs.Act == ir.NoAct
}
