package spec

import "fmt"

// maxLayers bounds the number of layers with the copies of repeat.
const maxLayers = 10000

// A namer gives layers unique names.
type namer struct {
	d     *decoder
	taken map[string]string // by name: whose it is
	next  map[string]int    // by kind: the next number to try
}

// names checks that the names of layers are unique, also those of the copies
// that repeat makes, and names the others after their kinds.
func (d *decoder) names(model []Layer) {
	nm := &namer{d: d, taken: map[string]string{"input": "the data"}, next: map[string]int{}}
	nm.given(model, []string{""})
	nm.missing(model, []string{""})
}

// count returns the number of layers with the copies of repeat, at most one
// more than maxLayers.
func count(model []Layer) int {
	n := 0
	for _, l := range model {
		n++
		if r, ok := l.Params.(*Repeat); ok {
			n = min(n+min(r.Times, maxLayers+1)*count(r.Layers), maxLayers+1)
		}
	}
	return n
}

// given takes the names that the file gives. The suffixes are those of the
// copies around: "" outside of repeat, "_1" and "_2" inside one of two times.
func (nm *namer) given(model []Layer, suffixes []string) {
	for i := range model {
		l := &model[i]
		if l.Name != "" && !nm.d.failed(join(l.Path, "name")) {
			if name, owner := nm.collision(l.Name, suffixes); name != "" {
				path := join(l.Path, "name")
				nm.d.report(path, "", "%q is already the name of %s", name, owner)
			} else {
				nm.take(l, suffixes)
			}
		}
		if r, ok := l.Params.(*Repeat); ok {
			nm.given(r.Layers, copies(suffixes, r.Times))
		}
	}
}

// missing names the layers that the file does not name.
func (nm *namer) missing(model []Layer, suffixes []string) {
	for i := range model {
		l := &model[i]
		for l.Name == "" && l.Kind != "" {
			name := l.Kind
			if n := nm.next[l.Kind]; n > 0 {
				name = fmt.Sprintf("%s_%d", l.Kind, n)
			}
			nm.next[l.Kind]++
			if clash, _ := nm.collision(name, suffixes); clash == "" {
				l.Name = name
				nm.take(l, suffixes)
			}
		}
		if r, ok := l.Params.(*Repeat); ok {
			nm.missing(r.Layers, copies(suffixes, r.Times))
		}
	}
}

// collision returns the first of a name and its copies that is taken, and by
// what.
func (nm *namer) collision(name string, suffixes []string) (string, string) {
	for _, full := range variants(name, suffixes) {
		if owner := nm.taken[full]; owner != "" {
			return full, owner
		}
	}
	return "", ""
}

// take marks a layer's name and those of its copies as taken.
func (nm *namer) take(l *Layer, suffixes []string) {
	for _, full := range variants(l.Name, suffixes) {
		nm.taken[full] = "a copy of " + l.Path
	}
	nm.taken[l.Name] = l.Path
}

// variants returns a name and those of its copies.
func variants(name string, suffixes []string) []string {
	out := []string{name}
	for _, s := range suffixes {
		if s != "" {
			out = append(out, name+s)
		}
	}
	return out
}

// copies extends the suffixes of a block's copies by those of a block in it.
func copies(suffixes []string, times int) []string {
	var out []string
	for _, s := range suffixes {
		for k := range times {
			out = append(out, fmt.Sprintf("%s_%d", s, k+1))
		}
	}
	return out
}
