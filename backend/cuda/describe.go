package cuda

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/ir"
)

// optionsOn returns what to plan for on a card.
func optionsOn(c *Card, job *backend.Job) (o plan.Options, err error) {
	o = plan.Options{SM: 10*c.Major + c.Minor, Multiprocessors: c.Multiprocessors}
	o.Precision, err = precision(job.Precision, c)
	return o, err
}

// describe is what Plan of the backend does, for a card with memory enough that its
// launches need not wait for any.
func describe(c *Card, job backend.Job, programs []*ir.Program) (string, error) {
	o, err := optionsOn(c, &job)
	if err != nil {
		return "", fmt.Errorf("cuda: %w", err)
	}
	pl := planner{job: &job, options: o}
	outlines := make([]string, len(programs))
	// That of update comes first: the others begin behind its memory.
	order := make([]int, len(programs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return programs[a].Batch - programs[b].Batch })
	for _, i := range order {
		p := programs[i]
		key := programKey{kind: gradient} // or forward, which is laid out alike
		if p.Batch == 0 {
			key.kind = update
		}
		planned, err := pl.lay(plan.Arrange(p), key)
		if err != nil {
			return "", fmt.Errorf("cuda: program %s: %w", p.Name, err)
		}
		outlines[i] = planned.Outline(func(l *plan.Launch) string {
			if contested(l.Product, o.Precision, largeFlop) {
				return "or cuBLASLt where that is quicker"
			}
			return ""
		})
	}
	return fmt.Sprintf("card: %s\n\n", c.Name) + strings.Join(outlines, "\n"), nil
}
