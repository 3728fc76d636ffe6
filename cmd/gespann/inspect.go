package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model"
	"github.com/gespann/gespann/model/spec"
)

func newInspect(t terminal) *cobra.Command {
	var stage string
	var batch int
	var dot bool
	c := &cobra.Command{
		Use:   "inspect CONFIG.yaml",
		Short: "Show a model, and what becomes of it",
		Long: `Inspect shows what the YAML file turns into, without training:

  summary  the layers, their shapes and parameters
  spec     the whole configuration, defaults included
  graph    the graph that Gorgonia has differentiated; with --dot for Graphviz
  program  the programs that a backend runs: forward, gradient, update
  memory   where their values live in the arena, and how large it is, for --batch rows
  plan     how a backend computes each instruction: kernels, tiles, layouts, and how
           the work is cut for threads or blocks, for --batch rows

A graph and programs are for any number of rows, B; --batch shows the programs for one.
--backend says whose plan it is; auto and cluster are shown as on the CPU. That of
gpu is for the card if gespann-cuda shows it, else for an H200.`,
		Example: `  gespann inspect configs/mnist-cnn.yaml
  gespann inspect configs/digits-mlp.yaml --stage program
  gespann inspect configs/mnist-cnn.yaml --stage plan --backend gpu
  gespann inspect configs/digits-mlp.yaml --stage graph --dot | dot -Tsvg > graph.svg`,
		Args: args(1, 1, "one configuration file"),
		RunE: func(c *cobra.Command, args []string) error {
			if dot && stage != "graph" {
				return usagef("--dot: only with --stage graph")
			}
			s, err := loadSpec(args[0], c.Flags())
			if err != nil {
				return err
			}
			switch {
			case !c.Flags().Changed("batch"):
				batch = ir.B
			case batch < 1:
				return usagef("--batch: got %d, want ≥ 1", batch)
			case stage == "summary" || stage == "spec" || stage == "graph":
				return usagef("--batch: only with --stage program, memory or plan")
			}
			text, err := inspect(c.Context(), t, s, stage, batch, dot)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(t.out, text)
			return err
		},
	}
	c.Flags().StringVar(&stage, "stage", "summary", "what to show: summary, spec, graph, program, memory or plan")
	c.Flags().IntVar(&batch, "batch", 0, "rows per batch; default: any number for programs, else data.batch_size")
	c.Flags().BoolVar(&dot, "dot", false, "graph in the language of Graphviz")
	spec.AddFlags(c.Flags(), "set", "data-dir", "backend", "threads")
	return c
}

func inspect(ctx context.Context, t terminal, s *spec.Spec, stage string, batch int, dot bool) (string, error) {
	if stage == "spec" {
		text, err := s.Marshal()
		return string(text), err
	}
	m, err := buildOnly(ctx, t, s)
	if err != nil {
		return "", err
	}
	if batch == ir.B && stage != "program" {
		batch = s.Data.BatchSize
	}
	switch stage {
	case "summary":
		return m.Summary(), nil
	case "graph":
		text, dotText, err := m.Graph()
		if dot {
			text = dotText
		}
		return text, err
	case "plan":
		programs, err := trainingPrograms(m, batch)
		if err != nil {
			return "", err
		}
		return planText(s, m, programs)
	case "program", "memory":
		var b strings.Builder
		programs, err := trainingPrograms(m, batch)
		for i, p := range programs {
			if i > 0 {
				b.WriteByte('\n')
			}
			if stage == "program" {
				fmt.Fprint(&b, p)
			} else {
				b.WriteString(memory(p))
			}
		}
		return b.String(), err
	}
	return "", usagef("--stage: got %q, want summary, spec, graph, program, memory or plan", stage)
}

// buildOnly builds the model of a spec. It reads the data to learn its shape,
// except where that is known.
func buildOnly(ctx context.Context, t terminal, s *spec.Spec) (*model.Model, error) {
	if s.Data.Source == "mnist" || s.Data.Source == "fashion_mnist" {
		p := &data.Prep{Shape: []int{28, 28, 1}, Classes: 10, Target: data.Classes}
		if s.Data.OneHot {
			p.Target = data.OneHot
		}
		return build(s, p, members(s))
	}
	_, m, err := load(ctx, s, nil, t)
	return m, err
}

// trainingPrograms returns the three programs of training, for so many rows or any number,
// ir.B; of an ensemble, what trains a member.
func trainingPrograms(m *model.Model, rows int) ([]*ir.Program, error) {
	forward, err := m.Forward(true)
	if err != nil {
		return nil, err
	}
	if m.Members() > 0 {
		m = m.Member()
	}
	gradient, err := m.Gradient(false)
	if err != nil {
		return nil, err
	}
	if rows != ir.B {
		forward, gradient = forward.At(rows), gradient.At(rows)
		for _, p := range []*ir.Program{forward, gradient} {
			if err := ir.Verify(p, m.Vars()); err != nil {
				return nil, fmt.Errorf("--batch %d: %w", rows, err)
			}
		}
	}
	update, err := m.Update()
	return []*ir.Program{forward, gradient, update}, err
}

// memory lists the arena of a program: each value with its bytes and its first
// and last instruction, by address.
func memory(p *ir.Program) string {
	plan := ir.PlanMemory(p)
	var slots []int
	total := 0
	for i := range p.Values {
		if plan.Offset[i] >= 0 && p.Values[i].Kind != ir.View {
			slots = append(slots, i)
			total += p.Values[i].Size()
		}
	}
	slices.SortFunc(slots, func(a, b int) int { return plan.Offset[a] - plan.Offset[b] })
	var b strings.Builder
	fmt.Fprintf(&b, "%s: arena of %s bytes for %s bytes of values\n", p.Name, grouped(4*plan.Size), grouped(4*total))
	lives := ir.Lifetimes(p)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "address\tbytes\tvalue\tfirst\tlast\t  shape\n")
	for _, i := range slots {
		v := &p.Values[i]
		name := cmp.Or(v.Name, fmt.Sprintf("%%%d", i))
		fmt.Fprintf(w, "%d\t%d\t%s\t%d\t%d\t  %v\n", 4*plan.Offset[i], 4*v.Size(), name,
			lives[i].First, lives[i].Last, v.Shape)
	}
	w.Flush()
	return b.String()
}
