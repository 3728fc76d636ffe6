package cuda

import (
	"math"
	"slices"

	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/meet"
	"github.com/gespann/gespann/backend/ref"
)

// meeting returns where the parts meet that c is a launch of, or nil.
func (c *command) meeting() *plan.Meeting {
	i := slices.IndexFunc(c.plan.Meetings, func(m plan.Meeting) bool { return m.Instr == c.Instr })
	if i < 0 {
		return nil
	}
	return &c.plan.Meetings[i]
}

// halves returns those of an instruction at which parts may meet.
func (f *fake) halves(c *command) *host.Halves {
	s := f.slots(c, c.Instr)
	r, err := ref.Executor{}.Compile(c.plan.Program, host.Slots{F: s.F, I: s.I})
	if err != nil {
		f.t.Fatal(err)
	}
	return r.(host.Meeter).Meet(c.Instr)
}

// meet does what plan.Meeting describes.
func (f *fake) meet(c *command, m *plan.Meeting) {
	h := f.halves(c)
	a, b := meet.Channels(h.V)
	if c.first() {
		h.Sums()
		sums := floats(f.memory(c.at.address(m.Sums), int64(16*m.Channels)))
		copy(sums[copy(sums, a):], b)
		return
	}
	x := floats32(f.memory(c.at.address(m.A), int64(4*m.Channels)))
	y := floats32(f.memory(c.at.address(m.B), int64(4*m.Channels)))
	meet.SetCount(h.V, m.Rows)
	for i := range a {
		a[i], b[i] = float64(x[i]), float64(y[i])*float64(m.Rows)
		if m.Eps > 0 {
			b[i] = float64(y[i]) * f.deviation(c, i)
		}
	}
	h.Rest()
}

// batchNormGrad takes the sums that dx needs from float32, as the kernels do.
func (f *fake) batchNormGrad(c *command) {
	h := f.halves(c)
	h.Sums()
	a, b := meet.Channels(h.V)
	for i := range a {
		s := f.deviation(c, i)
		a[i], b[i] = float64(float32(a[i])), float64(float32(b[i]*(1/s)))*s
	}
	h.Rest()
}

// deviation is what a gradient divides by in a channel.
func (f *fake) deviation(c *command, channel int) float64 {
	ins := &c.plan.Program.Instrs[c.Instr]
	variance, _ := f.value(c, ins.In[3])
	return math.Sqrt(float64(variance[channel]) + float64(float32(ins.Attrs.Eps)))
}
