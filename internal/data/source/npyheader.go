package source

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// An npyDict is the header of an NPY file.
type npyDict struct {
	descr   string
	fortran bool
	shape   []int64
}

// words returns the shape as NumPy writes it.
func (h *npyDict) words() string {
	dims := make([]string, len(h.shape))
	for i, dim := range h.shape {
		dims[i] = strconv.FormatInt(dim, 10)
	}
	return "(" + strings.Join(dims, ", ") + ")"
}

// maxAxes is the most axes an array may have: as many as NumPy allows.
const maxAxes = 32

// parseNPYHeader reads a dict with exactly the keys descr, fortran_order and
// shape, in any order.
func parseNPYHeader(text string) (*npyDict, error) {
	p := &pyText{rest: text}
	h := &npyDict{}
	seen := map[string]bool{}
	if !p.take("{") {
		return nil, p.want("{")
	}
	for !p.take("}") {
		key, err := p.text()
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, fmt.Errorf("key %s twice", quote(key))
		}
		seen[key] = true
		if !p.take(":") {
			return nil, p.want(":")
		}
		if err := h.value(key, p); err != nil {
			return nil, err
		}
		if !p.take(",") && !strings.HasPrefix(p.rest, "}") {
			return nil, p.want(", or }")
		}
	}
	if p.take(""); p.rest != "" {
		return nil, p.want("the end")
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return nil, fmt.Errorf("no key %q", key)
		}
	}
	return h, nil
}

func (h *npyDict) value(key string, p *pyText) (err error) {
	switch key {
	case "descr":
		if p.take("["); strings.HasPrefix(p.rest, "(") {
			return fmt.Errorf("structured elements, want plain numbers\nhint: in Python: " +
				"import numpy.lib.recfunctions; numpy.save(\"x.npy\", numpy.lib.recfunctions.structured_to_unstructured(x))")
		}
		if h.descr, err = p.text(); err == nil && strings.Contains(h.descr, "O") {
			return fmt.Errorf("element type %q holds Python objects, want plain numbers"+
				"\nhint: in Python: numpy.save(\"x.npy\", x.astype(numpy.float32))", h.descr)
		}
	case "fortran_order":
		if h.fortran = p.take("True"); !h.fortran && !p.take("False") {
			return p.want("True or False")
		}
	case "shape":
		h.shape, err = p.tuple()
	default:
		return fmt.Errorf("unknown key %s", quote(key))
	}
	return err
}

// A pyText is the rest of a Python literal.
type pyText struct{ rest string }

// take skips blanks, then the token if it comes next.
func (p *pyText) take(token string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = strings.TrimLeft(rest, " \t\r\n")
	}
	return ok
}

func (p *pyText) want(what string) error {
	return fmt.Errorf("got %s, want %s", p.got(), what)
}

// got is what stands there.
func (p *pyText) got() string { return mark(lettersOf(p.rest), fmt.Sprintf("%.20q", p.rest)) }

// text reads a string without escapes.
func (p *pyText) text() (string, error) {
	for _, quote := range []string{"'", `"`} {
		if !strings.HasPrefix(p.rest, quote) {
			continue
		}
		s, rest, ok := strings.Cut(p.rest[1:], quote)
		if !ok || strings.Contains(s, `\`) {
			break
		}
		p.rest = rest
		p.take("")
		return s, nil
	}
	return "", p.want("a string")
}

// tuple reads numbers in parentheses.
func (p *pyText) tuple() ([]int64, error) {
	if !p.take("(") {
		return nil, p.want("a tuple")
	}
	dims := []int64{}
	for !p.take(")") {
		digits := p.rest[:len(p.rest)-len(strings.TrimLeft(p.rest, "-0123456789"))]
		dim, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || dim < 0 || dim > math.MaxInt {
			return nil, fmt.Errorf("shape: got %s, want a size from 0 to %d", p.got(), math.MaxInt)
		}
		if dims = append(dims, dim); len(dims) > maxAxes {
			return nil, fmt.Errorf("shape: more than %d axes", maxAxes)
		}
		p.rest = p.rest[len(digits):]
		p.take("L") // Python 2 wrote long integers so
		if !p.take(",") && !strings.HasPrefix(p.rest, ")") {
			return nil, p.want(", or )")
		}
	}
	return dims, nil
}
