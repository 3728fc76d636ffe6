package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// String returns "fp32", "tf32" or "bf16".
func (p Precision) String() string {
	if int(p) < len(precisionNames) {
		return precisionNames[p]
	}
	return fmt.Sprintf("precision(%d)", uint8(p))
}

var precisionNames = [...]string{FP32: "fp32", TF32: "tf32", BF16: "bf16"}

// ParsePrecision is the inverse of Precision.String.
func ParsePrecision(s string) (Precision, error) {
	for p, name := range precisionNames {
		if name == s {
			return Precision(p), nil
		}
	}
	return 0, fmt.Errorf("precision %q: want one of %s", s, strings.Join(precisionNames[:], ", "))
}

var bufferNames = [numBuffers]string{
	Null: "null", Arena: "arena", Vars: "vars", Grads: "grads", Scratch: "scratch", Counters: "counters",
	Tables: "table", Control: "control", Rates: "rates", Sums: "sums", DataX: "data_x", DataY: "data_y",
	CenterX: "center_x", ScaleX: "scale_x", ShiftX: "shift_x",
	CenterY: "center_y", ScaleY: "scale_y", ShiftY: "shift_y",
	AsideScratch: "aside_scratch", AsideCounters: "aside_counters", Progress: "progress",
}

// String returns the buffer's name.
func (b Buffer) String() string { return bufferNames[b] }

// String returns an address such as "arena+256" or "vars[3]".
func (r Ref) String() string {
	s := r.Buffer.String()
	if r.Buffer == Vars || r.Buffer == Grads {
		s += fmt.Sprintf("[%d]", r.Index)
	}
	if r.Offset != 0 {
		s += fmt.Sprintf("+%d", r.Offset)
	}
	return s
}

// String returns the argument's value.
func (a Arg) String() string {
	switch a.Kind {
	case Pointer:
		return a.Ref.String()
	case Float32:
		return strconv.FormatFloat(a.Float, 'g', -1, 32) + "f"
	case Float64:
		return strconv.FormatFloat(a.Float, 'g', -1, 64) + "d"
	case Uint64:
		return strconv.FormatUint(uint64(a.Int), 10)
	case Struct:
		return strings.ReplaceAll(fmt.Sprint(a.Ints), " ", ",")
	default:
		return strconv.FormatInt(a.Int, 10)
	}
}

// String returns kernel, grid, block and arguments in one line.
func (l Launch) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %dx%dx%d %d", l.Kernel, l.Grid[0], l.Grid[1], l.Grid[2], l.Block[0]*l.Block[1]*l.Block[2])
	if l.Aside {
		s.WriteString(" aside")
	}
	for _, a := range l.Args {
		s.WriteString(" " + a.String())
	}
	return s.String()
}

// String returns the plan's text form: sizes of buffers, then for each instruction
// its layer and its launches, then the table, six words a line.
func (p *Plan) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "plan %s %v sm_%d multiprocessors=%d\n", p.Program.Name, p.Options.Precision, p.Options.SM,
		p.Options.Multiprocessors)
	fmt.Fprintf(&s, "arena=%d scratch=%d aside=%d counters=%d table=%d\n", p.ArenaBytes, p.ScratchBytes, p.AsideBytes,
		p.CountersBytes, p.TableBytes())
	for i := range p.Program.Instrs {
		ins := &p.Program.Instrs[i]
		fmt.Fprintf(&s, "%d %v (%s)\n", i, ins.Op, ins.Layer)
		for _, l := range p.Instr(i) {
			fmt.Fprintf(&s, "\t%v\n", l)
		}
		for _, l := range p.Launches {
			if slices.Contains(l.Also, i) {
				fmt.Fprintf(&s, "\twith %d\n", l.Instr)
			}
		}
	}
	for i, a := range p.Table {
		if i%6 == 0 {
			fmt.Fprintf(&s, "\ntable+%d:", i*8)
		}
		s.WriteString(" " + a.String())
	}
	return strings.TrimRight(s.String(), "\n") + "\n"
}
