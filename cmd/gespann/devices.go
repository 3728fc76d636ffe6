package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
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
		Long: `Devices lists the processor, with how it multiplies in precision bf16, and the NVIDIA
cards: memory, compute capability, driver, cuBLASLt, and why a card cannot be used. It asks gespann-cuda, the program with the
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
			fmt.Fprintf(t.out, "cpu    %s kernels, %d threads; bf16 %s\n", cpu.Kernels(), runtime.GOMAXPROCS(0), cpu.BF16())
			if err == nil && len(survey.Cards) == 0 {
				_, err = survey.Card(0)
			}
			if err != nil {
				fmt.Fprintf(t.out, "gpu    none: %v\n", err)
				return nil
			}
			printSurvey(t.out, survey, from)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "the cards as JSON, for programs")
	c.Flags().IntVar(&only, "device", allDevices, "ask only this card for its free memory (-1: all)")
	return c
}

// printSurvey lists cards, driver and the library for large products, and says through
// which program they are known.
func printSurvey(w io.Writer, s *cuda.Survey, from string) {
	for i := range s.Cards {
		fmt.Fprintf(w, "gpu %-2d %v\n", i, &s.Cards[i])
	}
	fmt.Fprintf(w, "driver CUDA %s%s\n", s.Driver(), from)
	if s.Library != "" {
		fmt.Fprintf(w, "blas   for large products in tf32 and bf16: %s\n", s.Library)
	}
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
