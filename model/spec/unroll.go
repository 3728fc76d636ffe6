package spec

import "fmt"

// Unroll returns the layers with the copies of repeat written out. Copy k of a
// layer is named name_k, in a block in a block name_j_k with the outer copy
// first. Every layer names its inputs; the name of a repeat stands for the last
// layer of its last copy.
func (s *Spec) Unroll() []Layer {
	out, _ := unroll(s.Model, "input", "")
	return out
}

// unroll returns one list of layers written out, and the name of its output.
func unroll(model []Layer, input, suffix string) (out []Layer, output string) {
	full := map[string]string{"input": input} // by name in the list: name when written out
	output = input
	for _, l := range model {
		inputs := []string{output}
		if len(l.Inputs) > 0 {
			inputs = nil
		}
		for _, name := range l.Inputs {
			inputs = append(inputs, full[name])
		}
		if r, ok := l.Params.(*Repeat); ok {
			output = inputs[0]
			for k := range r.Times {
				var block []Layer
				block, output = unroll(r.Layers, output, fmt.Sprintf("%s_%d", suffix, k+1))
				out = append(out, block...)
			}
			full[l.Name] = output
			continue
		}
		name := l.Name
		l.Name, l.Inputs = name+suffix, inputs
		out = append(out, l)
		full[name], output = l.Name, l.Name
	}
	return out, output
}
