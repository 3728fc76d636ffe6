package strategy

import (
	"strings"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/dist/wire"
)

// ParamsOf returns the parameters of a job's strategy, for vectors that have the
// job's parameters and states in the order of Vars. The job has been checked.
func ParamsOf(job *wire.Job) Params {
	p := Params{Named: job.Params, Rate: job.Rate0}
	at := 0
	means := map[string]Range{} // by layer
	for _, v := range job.Vars {
		if v.Role != "param" && v.Role != "state" {
			continue
		}
		size := 1
		for _, dim := range v.Shape {
			size *= dim
		}
		if n := len(p.States); v.Role == "state" && n > 0 && p.States[n-1].Hi == at {
			p.States[n-1].Hi += size
		} else if v.Role == "state" {
			p.States = append(p.States, Range{at, at + size})
		}
		if layer, ok := strings.CutSuffix(v.Name, "."+ir.StateMean); ok && v.Role == "state" {
			means[layer] = Range{at, at + size}
		}
		if layer, ok := strings.CutSuffix(v.Name, "."+ir.StateVariance); ok && v.Role == "state" {
			if mean := means[layer]; mean.Hi-mean.Lo == size {
				p.Moments = append(p.Moments, Moments{mean, Range{at, at + size}})
			}
		}
		at += size
	}
	return p
}
