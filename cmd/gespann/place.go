package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gespann/gespann/backend/cuda"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model/spec"
)

// Kinds of backends that this command looks at.
const (
	kindAuto    = "auto"
	kindCPU     = "cpu"
	kindGPU     = "gpu"
	kindCluster = "cluster"
)

// place finds out where a run happens, before anything is read or written. When
// that is a card and this program has no CUDA, the one that has takes over and
// place does not return.
func place(ctx context.Context, t terminal, s *spec.Spec) error {
	b := &s.Backend
	if b.Kind != kindGPU && b.Kind != kindAuto {
		return train.CheckBackend(s)
	}
	if b.Kind == kindGPU && cuda.Built {
		return nil // Open says what is wrong with a card
	}
	survey, _, err := ask(ctx, b.Device)
	var card *cuda.Card
	if err == nil {
		card, err = survey.Card(b.Device)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && !cuda.Built:
		return handOver()
	case err == nil:
		b.Use = kindGPU
		fmt.Fprintf(t.err, "backend auto: gpu, card %d: %s\n", card.Index, card.Name)
		return nil
	case b.Kind == kindGPU:
		return advised(err)
	}
	if at := s.Cluster.Coordinator; at != "" {
		fmt.Fprintf(t.err, "backend auto: cluster at %s: %v\n", at, firstLine(err))
		b.Use = kindCluster
		if s.Cluster.Members() > 0 {
			b.Kind = kindCluster // an ensemble is another model: the run remembers
		}
		return onlyOnCards(s)
	}
	fmt.Fprintf(t.err, "backend auto: cpu: %v\n", firstLine(err))
	b.Use = kindCPU
	return onlyOnCards(s)
}

// usedKind returns the backend of a run, once place has looked at it.
func usedKind(s *spec.Spec) string { return cmp.Or(s.Backend.Use, s.Backend.Kind) }

// placeHere is place for what happens in this process: a cluster only trains, so
// runs on one are taken up by what this machine has.
func placeHere(ctx context.Context, t terminal, s *spec.Spec) error {
	if s.Backend.Kind == kindCluster {
		s.Backend.Kind = kindAuto
		t.err = io.Discard // nobody has asked for auto
	}
	s.Cluster.Coordinator = ""
	return place(ctx, t, s)
}

// advised says how to go on without a card.
func advised(err error) error {
	if strings.Contains(err.Error(), "hint: ") {
		return fmt.Errorf("backend gpu: %w", err)
	}
	return fmt.Errorf("backend gpu: %w\nhint: gespann devices lists the cards; --backend=cpu and auto do without", err)
}

// onlyOnCards reports settings that have no effect when auto has chosen the CPU, or
// a cluster.
func onlyOnCards(s *spec.Spec) error {
	var bad spec.Errors
	if s.Backend.Precision == "tf32" && s.Backend.Use == kindCPU {
		bad = append(bad, s.Errorf("backend.precision", "got tf32, but the CPU, which auto has chosen, computes in fp32 or bf16"))
	}
	if d := s.Backend.Device; d != 0 {
		bad = append(bad, s.Errorf("backend.device", "got %d, but auto has chosen %s", d, chosen(s.Backend.Use)))
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}

// chosen is what auto has chosen, in a sentence.
func chosen(kind string) string {
	if kind == kindCPU {
		return "the CPU"
	}
	return "the cluster"
}

// handOver lets the companion take this process over, with the same arguments.
func handOver() error {
	path, err := findCompanion()
	if err != nil {
		return err
	}
	// The name stays, for the commands that messages show.
	err = replaceProcess(path, append([]string{os.Args[0]}, os.Args[1:]...))
	return fmt.Errorf("%s: %w", path, err)
}

// firstLine returns an error without its hints.
func firstLine(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(text)
}
