package plan

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// Outline describes the plan for people: what it is for and the sizes of its buffers,
// then a line for each instruction, in the order of Arrange, with its kernels and how
// they are cut. String has the arguments as well. note, if not nil, adds words about
// a launch; "" adds none.
func (p *Plan) Outline(note func(l *Launch) string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "plan %s batch %d on gpu: sm_%d, %d multiprocessors, %v, arena %d KiB, scratch %d KiB and %d KiB aside\n",
		p.Program.Name, p.Program.Batch, p.Options.SM, p.Options.Multiprocessors, p.Options.Precision,
		kib(p.ArenaBytes), kib(p.ScratchBytes), kib(p.AsideBytes))
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	for i := range p.Program.Instrs {
		ins := &p.Program.Instrs[i]
		var words []string
		for _, l := range p.Instr(i) {
			text := l.outline()
			if note != nil {
				if more := note(&l); more != "" {
					text += ", " + more
				}
			}
			words = append(words, text)
		}
		for _, l := range p.Launches {
			if slices.Contains(l.Also, i) {
				words = append(words, fmt.Sprintf("with %d", l.Instr))
			}
		}
		fmt.Fprintf(w, "%3d\t%v\t%s\t%s\n", i, ins.Op, ins.Layer, strings.Join(words, "; "))
	}
	w.Flush()
	return s.String()
}

// outline is the kernel, how many blocks and threads it has, and what of a product
// they compute.
func (l *Launch) outline() string {
	grid := fmt.Sprint(l.Grid[0])
	if l.Grid[1] > 1 || l.Grid[2] > 1 {
		grid += fmt.Sprintf("x%d", l.Grid[1])
	}
	if l.Grid[2] > 1 {
		grid += fmt.Sprintf("x%d", l.Grid[2])
	}
	text := fmt.Sprintf("%s, %s blocks of %d", l.Kernel, grid, l.Block[0]*l.Block[1]*l.Block[2])
	if l.Aside {
		text += ", aside"
	}
	if c := l.cut; c != nil {
		text += fmt.Sprintf(", m %d n %d k %d", c.m, c.n, c.k)
		if c.groups > 1 {
			text += fmt.Sprintf(" in %d groups", c.groups)
		}
		if c.parts > 1 {
			text += fmt.Sprintf(", k in %d parts of %d", c.parts, c.kPart)
		}
	}
	return text
}

// kib is a size in KiB, rounded up.
func kib(bytes int64) int64 { return (bytes + 1<<10 - 1) >> 10 }
