package ir

import (
	"fmt"
	"strconv"
	"strings"
)

// String returns the program's text form, which Parse reads back:
//
//	program forward batch 128
//	input %0 x f[128,28,28]
//	variable %1 dense.kernel f[784,10] var 0
//	variable %2 dense.bias f[10] var 1
//	output %5 prediction f[128,10]
//
//	%3 = view %0 : f[128,784]
//	%4 = matmul %3, dense.kernel, dense.bias bias act=relu : f[128,10] ; model[1] dense
//	prediction = softmax %4 ; model[2] softmax
//
// First come the values that sessions see, with their slots; in instructions
// they go by their names. The others are %slot, with their name in parentheses
// if they have one, and their type and shape where they are assigned. A name or
// layer with unusual characters is quoted, and _ is an output that is not wanted. A
// program for any number of rows has B in place of 128.
func (p *Program) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "program %s batch %s\n", quoteName(p.Name), dimText(p.Batch))
	w := newWriter(p, &b)
	for i := range p.Values {
		if v := &p.Values[i]; w.shown[i] {
			fmt.Fprintf(&b, "%v %%%d %s %v%s", v.Kind, i, quoteName(v.Name), v.Type, ShapeText(v.Shape))
			if v.Kind == Variable || v.Kind == Grad {
				fmt.Fprintf(&b, " var %d", v.Var)
			}
			b.WriteByte('\n')
		}
	}
	b.WriteByte('\n')
	for i := range p.Values {
		if w.shown[i] {
			w.views(Slot(i))
		}
	}
	for i := range p.Instrs {
		w.instr(&p.Instrs[i])
	}
	return b.String()
}

type writer struct {
	p       *Program
	b       *strings.Builder
	shown   []bool // values whose type and shape have been written
	viewsOf map[Slot][]Slot
}

// newWriter returns a writer that has shown what stands before instructions:
// the values that sessions see, and temporaries that only their views assign.
func newWriter(p *Program, b *strings.Builder) *writer {
	w := &writer{p: p, b: b, shown: make([]bool, len(p.Values)), viewsOf: map[Slot][]Slot{}}
	for i := range p.Values {
		switch v := &p.Values[i]; v.Kind {
		case View:
			w.viewsOf[v.Of] = append(w.viewsOf[v.Of], Slot(i))
		default:
			w.shown[i] = v.Kind != Temp
		}
	}
	for i := range p.Instrs {
		for _, s := range p.Instrs[i].Out {
			if s != None && p.Values[s].Kind == View {
				w.shown[p.Values[s].Of] = true
			}
		}
	}
	return w
}

// views writes the views of a value.
func (w *writer) views(of Slot) {
	for _, s := range w.viewsOf[of] {
		v := &w.p.Values[s]
		text := w.define(s)
		w.shown[s] = true
		fmt.Fprintf(w.b, "%s = view %s : %v%s\n", text, w.ref(of), v.Type, ShapeText(v.Shape))
	}
}

func (w *writer) instr(ins *Instr) {
	var out, in, types []string
	var fresh []Slot
	for _, s := range ins.Out {
		out = append(out, w.define(s))
		if s != None && !w.shown[s] {
			w.shown[s] = true
			fresh = append(fresh, s)
			types = append(types, w.p.Values[s].Type.String()+ShapeText(w.p.Values[s].Shape))
		}
	}
	for _, s := range ins.In {
		in = append(in, w.ref(s))
	}
	fmt.Fprintf(w.b, "%s = %v %s", strings.Join(out, ", "), ins.Op, strings.Join(in, ", "))
	for _, f := range fields {
		switch text := f.text(&ins.Attrs); text {
		case "":
		case f.name: // a boolean
			fmt.Fprintf(w.b, " %s", f.name)
		default:
			fmt.Fprintf(w.b, " %s=%s", f.name, text)
		}
	}
	if len(types) > 0 {
		fmt.Fprintf(w.b, " : %s", strings.Join(types, " "))
	}
	if ins.Layer != "" {
		fmt.Fprintf(w.b, " ; %s", quoteLayer(ins.Layer))
	}
	w.b.WriteByte('\n')
	for _, s := range fresh {
		w.views(s)
	}
}

// ref returns how instructions refer to a value.
func (w *writer) ref(s Slot) string {
	if s == None {
		return "_"
	}
	if v := &w.p.Values[s]; v.Kind != Temp && v.Kind != View {
		return quoteName(v.Name)
	}
	return "%" + strconv.Itoa(int(s))
}

// define returns ref, and the name of a temporary or view.
func (w *writer) define(s Slot) string {
	text := w.ref(s)
	if s != None && !w.shown[s] && w.p.Values[s].Name != "" {
		text += "(" + quoteName(w.p.Values[s].Name) + ")"
	}
	return text
}

// isNameByte reports whether a name may have c without quotes.
func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("_./-", c) >= 0
}

// quoteName returns a name as it is, or quoted when it could be taken for
// something else.
func quoteName(name string) string {
	plain := name != "" && name != "_"
	for i := range len(name) {
		plain = plain && isNameByte(name[i])
	}
	if plain {
		return name
	}
	return strconv.Quote(name)
}

// quoteLayer returns a layer as it is when it is one line of printable text.
func quoteLayer(layer string) string {
	quoted := strconv.Quote(layer)
	if quoted == `"`+layer+`"` && strings.TrimSpace(layer) == layer {
		return layer
	}
	return quoted
}
