package ir

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Parse reads the text form that Program.String writes. Empty lines and lines
// that begin with # are skipped. The program is not verified; errors begin with
// the number of the line.
func Parse(text string) (*Program, error) {
	r := reader{p: &Program{}, values: map[Slot]Value{}, names: map[string]Slot{}}
	header := false
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		s := scanner{rest: line}
		read := r.line
		if !header {
			read, header = r.header, true
		}
		if err := read(&s); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if !header {
		return nil, errors.New("no line says program")
	}
	return r.finish()
}

// A reader collects a program.
type reader struct {
	p      *Program
	values map[Slot]Value
	names  map[string]Slot
}

// finish orders the values by slot.
func (r *reader) finish() (*Program, error) {
	for i := range len(r.values) {
		v, ok := r.values[Slot(i)]
		if !ok {
			return nil, fmt.Errorf("%d values, but none is %%%d", len(r.values), i)
		}
		r.p.Values = append(r.p.Values, v)
	}
	for i := range r.p.Instrs {
		ins := &r.p.Instrs[i]
		if err := r.known(append(ins.In[:len(ins.In):len(ins.In)], ins.Out...)...); err != nil {
			return nil, err
		}
	}
	for _, v := range r.p.Values {
		if err := r.known(v.Of); err != nil {
			return nil, err
		}
	}
	return r.p, nil
}

// known reports slots without a value.
func (r *reader) known(slots ...Slot) error {
	for _, s := range slots {
		if int(s) >= len(r.p.Values) {
			return fmt.Errorf("no value is %%%d", s)
		}
	}
	return nil
}

// add notes a value in a slot that is free so far.
func (r *reader) add(s Slot, v Value) error {
	if _, taken := r.values[s]; taken {
		return fmt.Errorf("%%%d is there twice", s)
	}
	r.values[s] = v
	return nil
}

// header reads "program name batch n".
func (r *reader) header(s *scanner) (err error) {
	s.word("program")
	r.p.Name = s.name()
	s.word("batch")
	r.p.Batch = s.batch()
	return s.end()
}

// line reads a value or an instruction.
func (r *reader) line(s *scanner) error {
	for kind, name := range kindNames {
		if k := Kind(kind); k != View && s.try(name+" %") {
			return r.value(s, k)
		}
	}
	return r.instr(s)
}

// value reads "slot name type[shape] var n".
func (r *reader) value(s *scanner, kind Kind) error {
	slot := s.slot()
	v := Value{Kind: kind, Name: s.name(), Var: -1, Of: None}
	v.Type, v.Shape = s.typeShape()
	if kind == Variable || kind == Grad {
		s.word("var")
		v.Var = s.number()
	}
	if err := s.end(); err != nil {
		return err
	}
	if kind != Temp {
		if _, taken := r.names[v.Name]; taken {
			return fmt.Errorf("name %q is there twice", v.Name)
		}
		r.names[v.Name] = slot
	}
	return r.add(slot, v)
}

// instr reads "outputs = op inputs attributes : types ; layer", or a view.
func (r *reader) instr(s *scanner) error {
	var fresh []fresh
	out := r.outputs(s, &fresh)
	s.word("=")
	if s.try("view ") {
		return r.view(s, out, fresh)
	}
	ins := Instr{Op: s.op(), Out: out, In: r.inputs(s)}
	s.attrs(&ins.Attrs)
	if s.try(":") {
		if err := r.temps(s, fresh); err != nil {
			return err
		}
	} else if len(fresh) > 0 {
		s.fail("%%%d has no type", fresh[0].slot)
	}
	if s.try(";") {
		ins.Layer = s.layer()
	}
	r.p.Instrs = append(r.p.Instrs, ins)
	return s.end()
}

// view reads "value : type[shape]" after "view".
func (r *reader) view(s *scanner, out []Slot, fresh []fresh) error {
	of := r.ref(s)
	s.word(":")
	v := Value{Kind: View, Var: -1, Of: of}
	v.Type, v.Shape = s.typeShape()
	if err := s.end(); err != nil {
		return err
	}
	if len(out) != 1 || len(fresh) != 1 {
		return errors.New("a view is one new value")
	}
	v.Name = fresh[0].name
	return r.add(fresh[0].slot, v)
}

// temps reads the types and shapes of new values.
func (r *reader) temps(s *scanner, fresh []fresh) error {
	for _, f := range fresh {
		v := Value{Name: f.name, Var: -1, Of: None}
		v.Type, v.Shape = s.typeShape()
		if s.err != nil {
			return s.err
		}
		if err := r.add(f.slot, v); err != nil {
			return err
		}
	}
	return nil
}

// A fresh value is one that a line is the first to speak of.
type fresh struct {
	slot Slot
	name string
}

// outputs reads what stands before "=".
func (r *reader) outputs(s *scanner, fr *[]fresh) (out []Slot) {
	for s.err == nil {
		slot := r.ref(s)
		f := fresh{slot: slot}
		if s.try("(") {
			f.name = s.name()
			s.word(")")
		}
		if _, known := r.values[slot]; !known && slot != None {
			*fr = append(*fr, f)
		}
		out = append(out, slot)
		if !s.try(",") {
			break
		}
	}
	return out
}

// inputs reads a list of values, which have appeared before.
func (r *reader) inputs(s *scanner) (in []Slot) {
	for s.err == nil {
		in = append(in, r.ref(s))
		if !s.try(",") {
			break
		}
	}
	return in
}

// ref reads a value: %slot, a name, or _ for none.
func (r *reader) ref(s *scanner) Slot {
	if s.try("%") {
		return s.slot()
	}
	quoted := strings.HasPrefix(s.rest, `"`)
	name := s.name()
	if name == "_" && !quoted {
		return None
	}
	slot, ok := r.names[name]
	if !ok {
		s.fail("no value is named %q", name)
	}
	return slot
}

// A scanner reads a line from the left and keeps the first error.
type scanner struct {
	rest string
	err  error
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

// try takes text if it comes next, and the spaces after it.
func (s *scanner) try(text string) bool {
	rest, ok := strings.CutPrefix(s.rest, text)
	if ok && s.err == nil {
		s.rest = strings.TrimLeft(rest, " ")
		return true
	}
	return false
}

// word takes text, which must come next.
func (s *scanner) word(text string) {
	s.rest = strings.TrimLeft(s.rest, " ")
	if !s.try(text) {
		s.fail("got %q, want %q", s.rest, text)
	}
}

// token takes the longest run of bytes that ok accepts, and the spaces after it.
func (s *scanner) token(what string, ok func(c byte) bool) string {
	s.rest = strings.TrimLeft(s.rest, " ")
	n := 0
	for n < len(s.rest) && ok(s.rest[n]) {
		n++
	}
	if n == 0 {
		s.fail("got %q, want %s", s.rest, what)
	}
	text := s.rest[:n]
	s.rest = strings.TrimLeft(s.rest[n:], " ")
	return text
}

// name takes a name, which may be quoted.
func (s *scanner) name() string {
	s.rest = strings.TrimLeft(s.rest, " ")
	if !strings.HasPrefix(s.rest, `"`) {
		return s.token("a name", isNameByte)
	}
	quoted, err := strconv.QuotedPrefix(s.rest)
	if err != nil {
		s.fail("got %q, want a quoted name", s.rest)
		return ""
	}
	s.rest = strings.TrimLeft(s.rest[len(quoted):], " ")
	name, err := strconv.Unquote(quoted)
	if err != nil {
		s.fail("%s: %v", quoted, err)
	}
	return name
}

func isNumberByte(c byte) bool { return c >= '0' && c <= '9' || c == '-' }

func (s *scanner) number() int {
	n, err := strconv.Atoi(s.token("a number", isNumberByte))
	if err != nil {
		s.fail("%v", err)
	}
	return n
}

// batch reads a number of rows, or B.
func (s *scanner) batch() int {
	if s.try("B") {
		return B
	}
	n := s.number()
	if n < 0 {
		s.fail("got batch %d, want a number of rows or B", n)
	}
	return n
}

func (s *scanner) slot() Slot {
	n := s.number()
	if n < 0 || n > math.MaxInt32 {
		s.fail("got slot %d", n)
		return 0
	}
	return Slot(n)
}

func (s *scanner) op() Op {
	name := s.token("an op", isNameByte)
	for op := range ops {
		if ops[op].name == name && name != "" {
			return Op(op)
		}
	}
	s.fail("%q is no op", name)
	return Invalid
}

// typeShape takes a type and a shape, such as "f[128,10]".
func (s *scanner) typeShape() (Type, []int) {
	text := s.token("a type and shape", func(c byte) bool { return c != ' ' })
	for t, name := range typeNames {
		if rest, ok := strings.CutPrefix(text, name); ok {
			shape, err := parseShape(rest)
			if err != nil {
				s.fail("%v", err)
			}
			return Type(t), shape
		}
	}
	s.fail("got %q, want a type and shape", text)
	return Float, nil
}

// attrs takes attributes up to ":" or ";".
func (s *scanner) attrs(a *Attrs) {
	for s.err == nil && s.rest != "" && s.rest[0] != ':' && s.rest[0] != ';' {
		text := s.token("an attribute", func(c byte) bool { return c != ' ' })
		name, value, _ := strings.Cut(text, "=")
		found := false
		for _, f := range fields {
			if f.name == name {
				found = true
				if err := f.parse(a, value); err != nil {
					s.fail("%s: %v", name, err)
				}
			}
		}
		if !found {
			s.fail("%q is no attribute", name)
		}
	}
}

// layer takes the rest of the line.
func (s *scanner) layer() string {
	if strings.HasPrefix(s.rest, `"`) {
		return s.name()
	}
	layer := s.rest
	s.rest = ""
	return layer
}

// end returns the first error, also when something is left.
func (s *scanner) end() error {
	if s.rest != "" {
		s.fail("got %q after the end", s.rest)
	}
	return s.err
}
