package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/backend/cpu"
	"github.com/gespann/gespann/backend/cuda"
)

// allDevices asks for every card.
const allDevices = -1

func newDevices(t terminal) *cobra.Command {
	var asJSON bool
	only := allDevices
	c := &cobra.Command{
		Use:   "devices",
		Short: "List what this machine can train on",
		Long: `Devices lists the processor and the NVIDIA cards: memory, compute capability,
driver, and why a card cannot be used. It asks gespann-cuda, the program with the
gpu backend, which must be beside this one or on PATH.`,
		Args: args(0, 0, "none"),
		RunE: func(c *cobra.Command, _ []string) error {
			survey, from, err := ask(c.Context(), only)
			if asJSON {
				if err != nil {
					return err
				}
				return json.NewEncoder(t.out).Encode(survey)
			}
			fmt.Fprintf(t.out, "cpu    %s kernels, %d threads\n", cpu.Kernels(), runtime.GOMAXPROCS(0))
			if err == nil && len(survey.Cards) == 0 {
				_, err = survey.Card(0)
			}
			if err != nil {
				fmt.Fprintf(t.out, "gpu    none: %v\n", err)
				return nil
			}
			for i := range survey.Cards {
				fmt.Fprintf(t.out, "gpu %-2d %v\n", i, &survey.Cards[i])
			}
			fmt.Fprintf(t.out, "driver CUDA %s%s\n", survey.Driver(), from)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "the cards as JSON, for programs")
	c.Flags().IntVar(&only, "device", allDevices, "ask only this card for its free memory (-1: all)")
	return c
}

// ask returns the cards of this machine, and through which program it knows.
func ask(ctx context.Context, only int) (survey *cuda.Survey, from string, err error) {
	if cuda.Built {
		survey, err = cuda.Ask(only)
		return survey, "", err
	}
	path, err := findCompanion()
	if err != nil {
		return nil, "", err
	}
	survey, err = askCompanion(ctx, path, only)
	return survey, ", through " + path, err
}
