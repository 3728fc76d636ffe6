package ref_test

import (
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/backend/ref"
)

// TestOps compares float32 with float64, and checks the suite itself.
func TestOps(t *testing.T) {
	backendtest.Ops(t, func(*testing.T) host.Executor { return ref.Executor{} })
}

func TestSession(t *testing.T) {
	b, err := backend.Lookup("ref")
	if err != nil {
		t.Fatal(err)
	}
	backendtest.Session(t, b)
	t.Run("shards", func(t *testing.T) { backendtest.Shards(t, b, backendtest.NoThreads) })
}

func TestReplica(t *testing.T) { backendtest.Replica(t, "ref") }
