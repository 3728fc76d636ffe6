package host_test

import (
	"reflect"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ref"
	"github.com/gespann/gespann/internal/data"
)

// TestEvaluateBatches checks that ranges of batches add up to the bits of the whole.
func TestEvaluateBatches(t *testing.T) {
	job := backendtest.Job(t, 10, 1) // 57 test rows: 6 batches
	session, err := host.Open(job, ref.Executor{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.Restore(t.Context(), job.Programs.(*backendtest.Tiny).Initial()); err != nil {
		t.Fatal(err)
	}
	want, err := session.Evaluate(t.Context(), data.Test)
	if err != nil {
		t.Fatal(err)
	}
	replica := session.(backend.Replica)
	var got backend.Stats
	batches := 0
	for _, r := range [][2]int{{0, 0}, {0, 2}, {2, 3}, {3, 6}} {
		err := replica.EvaluateBatches(t.Context(), data.Test, r[0], r[1], func(s backend.Stats) {
			got.Add(s)
			batches++
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if batches != 6 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v from %d batches, want %+v from 6", got, batches, want)
	}
	for _, r := range [][2]int{{-1, 2}, {0, 7}, {3, 2}} {
		if replica.EvaluateBatches(t.Context(), data.Test, r[0], r[1], func(backend.Stats) {}) == nil {
			t.Errorf("batches %v of 6, want an error", r)
		}
	}
	if replica.EvaluateBatches(t.Context(), 3, 0, 1, func(backend.Stats) {}) == nil {
		t.Error("an unknown split, want an error")
	}
}
