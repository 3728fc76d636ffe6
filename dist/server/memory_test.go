package server

import (
	"strings"
	"testing"

	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/memlimit"
)

// bigJob is a job of so many parameters.
func bigJob(id, strategy string, n int) wire.Job {
	j := testJob(id, strategy)
	j.Vars = []wire.Var{{Name: "w", Shape: []int{n}, Role: "param"}}
	return j
}

// TestNotItsTurn lets a driver send tensors before it is attached: its connection ends,
// and nothing is taken.
func TestNotItsTurn(t *testing.T) {
	memory := memlimit.NewBudget(1 << 30)
	s := start(t, Options{Memory: memory})
	p := party{t, dial(t, "10.0.1.1:1", s.Driver)}
	p.say(&wire.Attach{Protocol: wire.Protocol, Job: bigJob("a", "sync", 1<<10)})
	if q, _ := hear2[*wire.Queued](p); q == nil {
		t.Fatal("it is not queued")
	}
	p.say(&wire.Restore{}, make([]float32, 1<<10)...)
	for {
		if _, err := p.conn.Recv(); err != nil {
			break
		}
	}
	eventually(t, "the driver is gone", func() bool { return strings.Contains(reasonOf(s, "a"), "its driver is gone") })
	if held := memory.Held(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}

// hear2 is hear for messages that it passes over.
func hear2[M wire.Message](p party) (M, error) {
	for {
		f, err := p.conn.Recv()
		if err != nil {
			return *new(M), err
		}
		if m, ok := f.Message.(M); ok {
			return m, nil
		}
	}
}

func reasonOf(s *Server, id string) string {
	if j := s.View().Job(id); j != nil {
		return j.Reason
	}
	return ""
}

// TestJobsThatDoNotFit refuses jobs whose variables, as often as they are in memory, are
// more than there is, and says how much that is.
func TestJobsThatDoNotFit(t *testing.T) {
	const n = 1 << 20 // 4 MiB
	for _, c := range []struct {
		strategy string
		params   map[string]float64
		workers  int
		need     string
	}{
		{"sync", nil, 4, "8.0 MiB"},
		{"single", nil, 1, "8.0 MiB"},
		{"downpour", nil, 3, "28.0 MiB"},
		{"local_sgd", nil, 3, "36.0 MiB"},
		{"ensemble", map[string]float64{"members": 3}, 3, "48.0 MiB"},
		{"downpour", nil, 4096, "16.0 GiB"},
	} {
		t.Run(c.strategy, func(t *testing.T) {
			job := bigJob("a", c.strategy, n)
			job.Params, job.Workers = c.params, c.workers
			for name, total := range map[string]int64{"small": 7 << 20, "large": 64 << 30} {
				t.Run(name, func(t *testing.T) {
					s := start(t, Options{Memory: memlimit.NewBudget(total), MaxJob: 1 << 40})
					p := party{t, dial(t, "10.0.1.1:1", s.Driver)}
					p.say(&wire.Attach{Protocol: wire.Protocol, Job: job})
					f, err := p.conn.Recv()
					if err != nil {
						t.Fatal(err)
					}
					fault, refused := f.Message.(*wire.Fault)
					if total > 1<<30 {
						if refused {
							t.Errorf("with %d bytes: %s", total, fault.Err)
						}
						return
					}
					want := "its variables of 4.0 MiB take " + c.need + " here, and this coordinator gives 7.0 MiB in all"
					if !refused || !strings.Contains(fault.Err, want) {
						t.Errorf("got %+v, want %q in it", f.Message, want)
					}
				})
			}
		})
	}
}

// TestMemoryIsGivenBack runs jobs of all kinds, and counts what is held while they run
// and when they are over.
func TestMemoryIsGivenBack(t *testing.T) {
	memory := memlimit.NewBudget(1 << 30)
	s := start(t, Options{Memory: memory})
	hire(t, s, 2)
	for _, strategy := range []string{"sync", "downpour"} {
		p := party{t, dial(t, "10.0.1.1:1", s.Driver)}
		drive(p, testJob("job-"+strategy, strategy), 2)
		if memory.Held() == 0 {
			t.Errorf("%s: nothing is held", strategy)
		}
		p.say(&wire.Detach{})
		eventually(t, "the memory is given back", func() bool { return memory.Held() == 0 })
	}
}

// TestSnapshotsThatNobodyReads asks for all variables again and again, and reads none of
// them: the connection ends.
func TestSnapshotsThatNobodyReads(t *testing.T) {
	memory := memlimit.NewBudget(1 << 30)
	s := start(t, Options{Memory: memory})
	hire(t, s, 1)
	conn := dial(t, "10.0.1.1:1", s.Driver)
	p := party{t, conn}
	p.say(&wire.Attach{Protocol: wire.Protocol, Job: testJob("a", "downpour")})
	hear[*wire.Attached](p)
	p.say(&wire.Restore{}, make([]float32, 13)...)
	hear[*wire.Restored](p)
	for range 200 { // the pipe itself holds some
		if conn.Send(wire.Frame{Message: &wire.Snapshot{}}) != nil {
			break
		}
	}
	eventually(t, "the connection ends", func() bool { return stateOf(s, "a") == wire.JobWaiting })
	const frames = 64 + 2 + 2 // in the pipe, in the queue, on their way; and the job's own
	if held := memory.Held(); held > (frames+4)*4*13 {
		t.Errorf("%d bytes are held", held)
	}
}
