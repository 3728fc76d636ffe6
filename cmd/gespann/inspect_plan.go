package main

import (
	"fmt"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

// planText says how the backend of a spec computes programs. Where that is not
// decided by the spec, it is the CPU.
func planText(s *spec.Spec, m *model.Model, programs []*ir.Program) (string, error) {
	kind := s.Backend.Kind
	if kind == kindAuto || kind == kindCluster {
		kind = kindCPU
	}
	b, err := backend.Lookup(kind)
	if err != nil {
		return "", err
	}
	p, ok := b.(backend.Planner)
	if !ok {
		return "", usagef("--stage plan: backend %s has none: it takes the programs as they are", kind)
	}
	job, err := train.NewJob(s, m, nil)
	if err != nil {
		return "", err
	}
	text, err := p.Plan(job, programs...)
	if err != nil {
		return "", fmt.Errorf("backend %s: %w", kind, err)
	}
	return text, nil
}
