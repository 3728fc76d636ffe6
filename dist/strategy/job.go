package strategy

import "github.com/gespann/gespann/dist/wire"

// ParamsOf returns the parameters of a job's strategy, for vectors that have the
// job's parameters and states in the order of Vars. The job has been checked.
func ParamsOf(job *wire.Job) Params {
	p := Params{Named: job.Params, Rate: job.Rate0}
	at := 0
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
		at += size
	}
	return p
}
