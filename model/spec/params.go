package spec

import (
	"slices"
	"strings"
)

// complete sets the strides that default to the pool size.
func (p *Pool2D) complete() {
	if p.Strides == (Pair{}) {
		p.Strides = p.PoolSize
	}
}

// complete sets the alpha that the kind defaults to.
func (a *Activation) complete() {
	if alpha, ok := DefaultAlpha[a.Kind]; ok && a.Alpha == nil {
		a.Alpha = &alpha
	}
}

func (a *Activation) check(fail func(key, hint, format string, args ...any)) {
	if _, ok := DefaultAlpha[a.Kind]; a.Alpha != nil && !ok {
		fail("alpha", "", "has no effect: kind is %s, not leaky_relu or elu", a.Kind)
	}
}

func (r *Reshape) check(fail func(key, hint, format string, args ...any)) {
	free := 0
	for _, n := range r.TargetShape {
		switch {
		case n == -1:
			free++
		case n < 1:
			fail("target_shape", "", "got %d, want ≥ 1, or -1 for what is left", n)
			return
		}
	}
	if len(r.TargetShape) == 0 {
		fail("target_shape", "", "empty, want at least one number")
	}
	if free > 1 {
		fail("target_shape", "", "got %d times -1, want at most one", free)
	}
}

func (c *Conv2D) check(fail func(key, hint, format string, args ...any)) {
	if c.Filters%c.Groups != 0 {
		fail("groups", "", "got %d, want a divisor of the %d filters", c.Groups, c.Filters)
	}
}

func (c *Concatenate) check(fail func(key, hint, format string, args ...any)) {
	if c.Axis == 0 {
		fail("axis", "", "got 0, which is the batch; want 1 or more, or -1 for the last")
	}
}

func (c *Clip) check(fail func(key, hint, format string, args ...any)) {
	var set []string
	for _, x := range []struct {
		key   string
		value float64
	}{{"clipnorm", c.Clipnorm}, {"global_clipnorm", c.GlobalClipnorm}, {"clipvalue", c.Clipvalue}} {
		if x.value != 0 {
			set = append(set, x.key)
		}
	}
	if len(set) > 1 {
		fail(slices.Max(set), "", "got %s, want at most one of them", strings.Join(set, " and "))
	}
}

func (o *SGD) check(fail func(key, hint, format string, args ...any)) {
	if o.Nesterov && o.Momentum == 0 {
		fail("nesterov", "set momentum", "has no effect: momentum is 0")
	}
	o.Clip.check(fail)
}
