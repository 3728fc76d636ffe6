package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// resumeSpecs are runs with all that a checkpoint must remember.
var resumeSpecs = map[string]string{
	// 6 steps per epoch, the last one short.
	"adam, dropout, accumulation, cosine": `
model: [{dense: {units: 7, activation: relu}}, {dropout: 0.3}, {dense: {units: 3, activation: softmax}}]
train: {epochs: 4, accumulate: 2, schedule: {cosine: {warmup_steps: 5}}, checkpoint_every: 4 steps}
`,
	"sgd, batch norm, plateau, early stopping": `
model: [{dense: {units: 5}}, batch_normalization, {activation: tanh}, {dense: {units: 3}}]
optimizer: {sgd: {learning_rate: 0.3, momentum: 0.9}}
train:
  epochs: 9
  accumulate: 2
  schedule: {reduce_on_plateau: {patience: 1, factor: 0.5}}
  early_stopping: {patience: 2, monitor: val_loss}
`,
	"rmsprop, never saved": `
model: [{dense: {units: 5, activation: gelu}}, {dropout: 0.5}, {dense: {units: 3}}]
optimizer: {rmsprop: {momentum: 0.5, centered: true}}
train: {epochs: 2, checkpoint_every: never, early_stopping: {patience: 1, monitor: val_accuracy}}
`,
	// 3 steps per epoch of 8 shards, one of which is empty in the last step.
	"deterministic": `
model: [{dense: {units: 7, activation: relu}}, batch_normalization, {dropout: 0.3}, {dense: {units: 3}}]
train: {epochs: 4, accumulate: 5, deterministic: true, checkpoint_every: 2 steps}
`,
}

// TestResume interrupts runs after every single step, and once after each.
func TestResume(t *testing.T) {
	for name, yaml := range resumeSpecs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := newTestRun(t, yaml)
			want := whole.outcome(whole.must())

			every := newTestRun(t, yaml)
			for n := 0; ; n++ {
				if result := every.until(1); result != nil {
					same(t, "interrupted after every step", every.outcome(result), want)
					break
				}
				if n > 200 {
					t.Fatal("no progress")
				}
			}
			stride := 1
			if testing.Short() {
				stride = 7
			}
			for n := 1; ; n += stride {
				r := newTestRun(t, yaml)
				if result := r.until(n); result != nil {
					break
				}
				same(t, fmt.Sprintf("interrupted after step %d", n), r.outcome(r.must()), want)
			}
		})
	}
}

// TestSpans checks that the sizes of spans do not matter, nor do threads.
func TestSpans(t *testing.T) {
	for name, yaml := range resumeSpecs {
		whole := newTestRun(t, yaml)
		want := whole.outcome(whole.must())
		for _, c := range []struct {
			refresh time.Duration
			threads int
		}{{time.Nanosecond, 1}, {time.Hour, 3}} {
			r := newTestRun(t, yaml)
			r.spec.Backend.Threads = c.threads
			result, err := r.run(t.Context(), c.refresh, nil)
			if err != nil {
				t.Fatal(err)
			}
			same(t, fmt.Sprintf("%s: refresh %v, %d threads", name, c.refresh, c.threads), r.outcome(result), want)
		}
	}
}

// TestDeterministic checks that the setting reaches the backend, and that threads
// do not matter, with layers that are large enough to be cut up.
func TestDeterministic(t *testing.T) {
	yaml := strings.Replace(resumeSpecs["deterministic"], "units: 7", "units: 7000", 1)
	run := func(deterministic bool, threads int) outcome {
		r := newTestRun(t, yaml)
		r.spec.Train.Epochs, r.spec.Train.Deterministic, r.spec.Backend.Threads = 1, deterministic, threads
		return r.outcome(r.must())
	}
	want := run(true, 1)
	same(t, "2 threads", run(true, 2), want)
	if plain := run(false, 1); plain.Metrics == want.Metrics {
		t.Error("without deterministic the metrics are the same, want others: batches are not shards")
	}
}

// TestInterruptedAtTheEnd interrupts a run between its last epoch and its last file,
// when the best weights are back in the session.
func TestInterruptedAtTheEnd(t *testing.T) {
	yaml := resumeSpecs["sgd, batch norm, plateau, early stopping"]
	whole := newTestRun(t, yaml)
	want := whole.outcome(whole.must())
	r := newTestRun(t, yaml)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := r.run(ctx, 0, func(e Event) {
		if e, ok := e.(EpochEnd); ok && e.Epoch == want.Result.Epochs {
			cancel()
		}
	})
	var interrupted *InterruptedError
	if !errors.As(err, &interrupted) {
		t.Fatalf("got %v, want an InterruptedError", err)
	}
	same(t, "interrupted at the end", r.outcome(r.must()), want)
}

// TestResumeRepairs checks that what a crash leaves in a directory is put right.
func TestResumeRepairs(t *testing.T) {
	yaml := resumeSpecs["adam, dropout, accumulation, cosine"]
	whole := newTestRun(t, yaml)
	want := whole.outcome(whole.must())
	r := newTestRun(t, yaml)
	if r.until(15) != nil {
		t.Fatal("ended early")
	}
	metrics := filepath.Join(r.path, metricsFile)
	left := filepath.Join(r.path, checkpointsDir, ".tmp-step-00000099.safetensors")
	for path, text := range map[string]string{
		metrics: "3,18,0.5,0.6,0.7,0.8,0.001,1.2\n4,24,0.", // a line too much, and a partial one
		left:    "half a checkpoint",
	} {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	same(t, "after a crash", r.outcome(r.must()), want)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("%s is still there", left)
	}
}

// TestResumeTwice checks that a finished run stays as it is, and can be made
// longer.
func TestResumeTwice(t *testing.T) {
	yaml := resumeSpecs["adam, dropout, accumulation, cosine"]
	yaml = strings.Replace(yaml, "{cosine: {warmup_steps: 5}}", "constant", 1)
	r := newTestRun(t, yaml)
	want := r.outcome(r.must())
	same(t, "resumed when finished", r.outcome(r.must()), want)

	r.spec.Train.Epochs = 7
	long := newTestRun(t, yaml)
	long.spec.Train.Epochs = 7
	same(t, "made longer", r.outcome(r.must()), long.outcome(long.must()))
}
