package main

import (
	"github.com/spf13/cobra"

	"github.com/gespann/gespann/model/spec"
)

func newLayers(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "layers [KIND]",
		Short: "List what a model can be made of",
		Long: `Layers lists the layers, losses, optimizers, schedules and metrics; with a kind,
its parameters, their defaults and bounds.`,
		Example: `  gespann layers
  gespann layers conv2d
  gespann layers adam`,
		Args: args(0, 1, "at most one kind"),
		RunE: func(_ *cobra.Command, args []string) error {
			kind := ""
			if len(args) == 1 {
				kind = args[0]
			}
			if err := spec.Describe(t.out, kind); err != nil {
				return usageError{err}
			}
			return nil
		},
	}
}
