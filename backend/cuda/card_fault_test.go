//go:build gpu

package cuda

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/internal/data"
)

// TestCardFault lets a replayed step write to an address that is nobody's, which
// ends the context: the step must be named, and the card must open again.
func TestCardFault(t *testing.T) {
	c := checked(t)
	if strings.HasPrefix(c.Name, "Emulated") {
		t.Skip("an emulated card dies with its process")
	}
	s, _ := workloads[0].session(t, "fp32")
	defer s.Close()
	span := backend.Span{Last: 2, Rates: slices.Repeat([]float32{0.01}, 4)}
	if _, n, err := s.Train(t.Context(), span); err != nil || n != 2 {
		t.Fatalf("Train = %d, %v, want 2 steps", n, err)
	}
	err := s.dev.Do(func() (err error) {
		r := s.runs[runKey{true, data.Train, s.stepRows(), s.stageNumbers()[0]}]
		bad := slices.Clone(r.commands)
		for i := range bad {
			if bad[i].Kernel == "softmax_xent_step" {
				bad[i].args.bytes = slices.Clone(bad[i].args.bytes)
				binary.LittleEndian.PutUint64(bad[i].args.bytes, 0x10)
			}
		}
		r.graph, err = s.dev.Capture(func() error { return s.launchLanes(bad) })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	span.First, span.Last, span.Step = 2, 4, 2
	_, n, err := s.Train(t.Context(), span)
	const want = "cuda: step 3: CUDA_ERROR_ILLEGAL_ADDRESS: none of the step's 12 launches fails on the card opened anew"
	if n != 0 || err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Train = %d, %v, want 0, %s", n, err, want)
	}
	t.Log(err)
}
