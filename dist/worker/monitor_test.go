package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gespann/gespann/dist/wire"
)

// TestMonitor looks at a worker through two jobs, a lost connection and its end: counts go on
// over jobs, and what it is doing is so at that moment.
func TestMonitor(t *testing.T) {
	inYard(t, func(t *testing.T, y *yard) {
		y.watch = new(Monitor)
		if v := y.watch.View(); v.Connected || v.Phase != idle {
			t.Errorf("before Run: got %+v", v)
		}
		h := y.hire()
		synctest.Wait()
		if v := y.watch.View(); !v.Connected || v.Connections != 1 || v.ID != h.hello.ID || v.Name != "w" || v.Backend != "ref" || v.Job != "" {
			t.Errorf("connected: got %+v", v)
		}

		jobs := [2]wire.Job{newJob(t, mlp, 1, 0), newJob(t, mlp, 1, 0)}
		jobs[1].ID = "another"
		for i, job := range jobs {
			h.take(job, wire.Position{}, initial(t, job))
			form(job, i+1, h)
			run(i+1, spanOf(job, 0, 0, 5), h)
			answer[*wire.Ran](h)
			v := y.watch.View()
			if want := int64(5 * (i + 1)); v.Steps != want || v.Cost.Rows != 16*want || v.Job != job.ID || v.Jobs != int64(i+1) {
				t.Errorf("job %d: got %+v, want %d steps of 16 rows in %d jobs", i, v, want, i+1)
			}
		}
		h.tell(&wire.Close{Job: "another"})
		h.tell(&wire.Run{Gen: 9}) // no job is open
		answer[*wire.Failed](h)
		if v := y.watch.View(); v.Job != "" || v.Failures != 1 {
			t.Errorf("after a job: got %+v", v)
		}

		still := y.watch.View().Moved
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if v := y.watch.View(); v.Moved-still < 9*time.Second {
			t.Errorf("in 10 s of rest it moved from %v to %v", still, v.Moved)
		}

		h.conn.Close()
		h.meet()
		synctest.Wait()
		if v := y.watch.View(); !v.Connected || v.Connections != 2 || v.Steps != 10 {
			t.Errorf("connected again: got %+v", v)
		}
		h.leave()
		if v := y.watch.View(); v.Connected {
			t.Errorf("after Run: got %+v", v)
		}
	})
}
