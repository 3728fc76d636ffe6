package lower

import "github.com/gespann/gespann/backend/ir"

// fuseActGrad moves the derivative of an activation into the instruction that
// computes the gradient of its output, if nothing else reads that:
//
//	dy = matmul dz, w; dx = act_grad{relu} y, dy   ->   dx = matmul{grad_act, relu} dz, w, y
func fuseActGrad(p *ir.Program) {
	u := newUsage(p)
	for i := range p.Instrs {
		reader := &p.Instrs[i]
		if reader.Op != ir.ActGrad {
			continue
		}
		ref, dy := reader.In[0], reader.In[1]
		prod := u.producer(dy)
		if prod == nil || prod.Op != ir.MatMul && prod.Op != ir.Conv2DDX || !plain(prod) {
			continue
		}
		if !u.before(ref, prod) {
			continue
		}
		prod.Attrs.Act, prod.Attrs.Alpha = reader.Attrs.Act, reader.Attrs.Alpha
		prod.Attrs.GradAct = true
		prod.In = append(prod.In, view(p, ref, p.Values[prod.Out[0]].Shape))
		u.grow()
		u.merge(prod, reader)
	}
	removeInvalid(p)
}
