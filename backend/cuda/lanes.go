package cuda

import (
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/ir"
)

// A captured step has two lanes: what is aside in a plan, and the end of a batch,
// runs beside the rest. What must come before what is read off the memory that
// launches touch, so it holds for whatever a step is made of; a lane waits for the
// other where one of them writes what the other touches.

// numLanes is the number of streams.
const numLanes = 2

// lane is the lane of a command.
func (c *command) lane() int {
	if c.end != nil || c.Aside {
		return 1
	}
	return 0
}

// A touch is a range of memory that a command reads or writes.
type touch struct {
	from, to address
	write    bool
}

// workspace stands for the library's, which its products share.
var workspace = touch{1, 2, true}

// touches lists what a command touches, but for scratch and counters, of which each
// lane has its own, and what never changes.
func (c *command) touches() (list []touch) {
	add := func(from address, bytes int64, write bool) {
		if from != 0 && bytes > 0 {
			list = append(list, touch{from, from + address(bytes), write})
		}
	}
	value := func(p *plan.Plan, s ir.Slot, write bool) {
		if s != ir.None {
			add(c.at.address(p.Values[s]), int64(p.Program.Values[s].Size())*4, write)
		}
	}
	input := func(p *plan.Plan, name string) {
		if r, v, ok := p.Value(name); ok && v.Kind == ir.Input {
			add(c.at.address(r), int64(v.Size())*4, true)
		}
	}
	control := func(write bool) { add(c.at.base[plan.Control], plan.ControlBytes, write) }
	switch {
	case c.batch != nil:
		control(false)
		for _, name := range []string{ir.InX, ir.InY, ir.InSeed, ir.InTick} {
			input(c.plan, name)
		}
	case c.end != nil:
		control(true)
		add(c.at.base[plan.Sums], int64(c.plan.SumsSize())*16, true)
		for i := range c.plan.Program.Values {
			if c.plan.Program.Values[i].Kind == ir.Output {
				value(c.plan, ir.Slot(i), false)
			}
		}
		if c.end.Update != nil {
			input(c.end.Update, ir.InRate)
			input(c.end.Update, ir.InStep)
		}
	default:
		control(false)
		for _, i := range append([]int{c.Instr}, c.Also...) {
			for _, s := range c.plan.Program.Instrs[i].In {
				value(c.plan, s, false)
			}
			for _, s := range c.plan.Program.Instrs[i].Out {
				value(c.plan, s, true)
			}
		}
		if c.by != nil {
			list = append(list, workspace)
		}
	}
	return list
}

// collide reports whether one writes what the other touches.
func collide(a, b []touch) bool {
	for _, x := range a {
		for _, y := range b {
			if (x.write || y.write) && x.from < y.to && y.from < x.to {
				return true
			}
		}
	}
	return false
}

// launchLanes makes launches on their lanes, while the device captures them.
func (s *session) launchLanes(list []command) (err error) {
	touched := make([][]touch, len(list))
	last, known := [numLanes]int{-1, -1}, [numLanes]int{-1, -1}
	begun := false
	defer func() {
		s.dev.Lane(0)
		if begun && err == nil {
			err = s.dev.Join(1, 0)
		}
	}()
	for i := range list {
		c := &list[i]
		lane, other := c.lane(), 1-c.lane()
		touched[i] = c.touches()
		need := -1
		for k := i - 1; k > known[lane] && need < 0; k-- {
			if list[k].lane() == other && collide(touched[i], touched[k]) {
				need = k
			}
		}
		if need >= 0 || lane == 1 && !begun {
			if err := s.dev.Join(other, lane); err != nil {
				return err
			}
			known[lane] = max(known[lane], last[other])
		}
		begun = begun || lane == 1
		s.dev.Lane(lane)
		if err := s.dev.Launch(c); err != nil {
			return c.fault("launch", err)
		}
		last[lane] = i
	}
	return nil
}
