package lower

import "github.com/gespann/gespann/backend/ir"

// fusePoolGrad does at the small side of a max pooling what follows its gradient
// at the large one. The output of the pooling is the activation's where dy goes to,
// and everywhere else dx is 0; so is the sum over the pixels the same:
//
//	dx = max_pool_grad arg, dy; dz = act_grad{relu} x, dx   ->
//	t = act_grad{relu} y, dy; dz = max_pool_grad arg, t
//	dx = max_pool_grad arg, dy; db = bias_grad dx           ->   db = bias_grad dy
//
// where y, arg = max_pool x.
func fusePoolGrad(p *ir.Program) {
	u := newUsage(p)
	for i := range p.Instrs {
		switch p.Instrs[i].Op {
		case ir.ActGrad:
			u.swapPoolGrad(i)
		case ir.BiasGrad:
			u.skipPoolGrad(i)
		}
	}
}

// swapPoolGrad exchanges instruction i, the derivative of an activation, with the
// max_pool_grad before it.
func (u *usage) swapPoolGrad(i int) {
	p, reader := u.p, &u.p.Instrs[i]
	ref, dx := reader.In[0], reader.In[1]
	prod := u.producer(dx)
	if prod == nil || prod.Op != ir.MaxPoolGrad || reader.Attrs.Act.FromInput() ||
		!sameShape(p, reader.Out[0], prod.Out[0]) {
		return
	}
	arg, dy := prod.In[0], prod.In[1]
	pool := &p.Instrs[u.def[p.Root(arg)]]
	if pool.Op != ir.MaxPool || p.Root(pool.In[0]) != p.Root(ref) {
		return
	}
	at := u.def[p.Root(dx)]
	t := add(p, ir.Value{Shape: p.Values[dy].Shape, Var: -1, Of: ir.None})
	u.grow()
	u.def[t], u.uses[t] = at, 1
	first := ir.Instr{Op: ir.ActGrad, Attrs: reader.Attrs, In: []ir.Slot{pool.Out[0], dy},
		Out: []ir.Slot{t}, Layer: reader.Layer}
	last := ir.Instr{Op: ir.MaxPoolGrad, Attrs: prod.Attrs, In: []ir.Slot{arg, t},
		Out: reader.Out, Layer: prod.Layer}
	p.Instrs[at], p.Instrs[i] = first, last
}

// skipPoolGrad lets instruction i, the gradient of a bias, read what the
// max_pool_grad before it reads.
func (u *usage) skipPoolGrad(i int) {
	p, reader := u.p, &u.p.Instrs[i]
	dx := p.Root(reader.In[0])
	if u.def[dx] < 0 {
		return
	}
	prod := &p.Instrs[u.def[dx]]
	// Something else must read dx, or its instruction would stay behind without use.
	if prod.Op != ir.MaxPoolGrad || u.uses[dx] < 2 {
		return
	}
	_, small := ir.Rows(p.Values[prod.In[1]].Shape)
	if _, large := ir.Rows(p.Values[reader.In[0]].Shape); large == small {
		u.uses[dx]--
		reader.In[0] = prod.In[1]
	}
}
