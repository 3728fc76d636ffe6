package cluster

import (
	"errors"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist/wire"
)

// ended is a cluster on this machine that cannot go on.
type ended struct {
	Local
	failed chan struct{}
}

func (e ended) Failed() <-chan struct{} { return e.failed }
func (ended) Err() error                { return errors.New("worker-1 has ended five times: killed") }
func (ended) Close() error              { return errors.New("and its folder cannot be removed") }

// TestCauseAlone checks that a run that fails with its cluster says why, and not also what
// followed from it.
func TestCauseAlone(t *testing.T) {
	b := backendOn(t, ref(t), func(m wire.Message) fault {
		if _, ok := m.(*wire.Train); ok {
			return drop
		}
		return none
	})
	job := job(t)
	s, err := b.Open(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Restore(t.Context(), initial(job)); err != nil {
		t.Fatal(err)
	}
	s.(*session).local = ended{failed: make(chan struct{})}
	_, _, err = s.Train(t.Context(), backend.Span{Last: 1, Rates: []float32{0.1}})
	if want := "cluster: worker-1 has ended five times: killed"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
