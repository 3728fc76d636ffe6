package backend

import (
	"testing"

	"github.com/gespann/gespann/internal/numtest"
)

// crew is an account of workers that each had rows, computed, updated and communicated
// for so many of ten seconds.
func crew(rows int64, workers ...[4]float64) Account {
	a := Account{Strategy: "sync", Rows: rows, Seconds: 10}
	for _, w := range workers {
		a.Workers = append(a.Workers, WorkerAccount{Rows: int64(w[0]), Compute: w[1], Update: w[2], Comm: w[3]})
	}
	return a
}

func probed(a Account, worker int, rate float64) Account {
	a.Workers[worker].Probed, a.OneWorker = true, rate
	return a
}

// short is the same a hundred times as fast.
func short(a Account) Account {
	a.Seconds /= 100
	for i := range a.Workers {
		w := &a.Workers[i]
		w.Compute, w.Update, w.Wait, w.Comm = w.Compute/100, w.Update/100, w.Wait/100, w.Comm/100
	}
	return a
}

func TestWorth(t *testing.T) {
	two := func() Account { return crew(1000, [4]float64{500, 9.5, 0, 0.5}, [4]float64{500, 9.5, 0, 0.5}) }
	for _, c := range []struct {
		name                         string
		a                            Account
		members, alone, speed, effic float64
		doubt                        Doubt
	}{
		{"equal", two(), 2, 1000 / 19.0, 1.9, 0.95, ""},
		{"probe agrees", probed(two(), 0, 60), 2, 1000 / 19.0, 1.9, 0.95, ""},
		// What was once reported as 3.03 times one worker.
		{"probe met a busy moment", probed(two(), 0, 1000/30.3), 2, 1000 / 19.0, 0, 0, DoubtProbe},
		{"the run was disturbed", probed(two(), 1, 100), 2, 1000 / 19.0, 0, 0, DoubtProbe},
		// Every member makes the same update: alone, one would do. 2·(9 − 5) + 5 = 13.
		{"updates", crew(1000, [4]float64{500, 9, 5, 1}, [4]float64{500, 9, 5, 1}), 2, 1000 / 13.0, 1.3, 0.65, ""},
		// The fast one alone: 1000/800·10 = 12.5 s.
		{"unequal", crew(1000, [4]float64{800, 10, 0, 0}, [4]float64{200, 10, 0, 0}), 2, 80, 1.25, 0.625, ""},
		{"probe of the slow one", probed(crew(1000, [4]float64{800, 10, 0, 0}, [4]float64{200, 10, 0, 0}), 1, 20),
			2, 80, 1.25, 0.625, ""},
		// Half-way one of three was lost.
		{"lost", crew(1000, [4]float64{400, 10, 0, 0}, [4]float64{400, 10, 0, 0}, [4]float64{200, 5, 0, 0}), 2.5, 40, 2.5, 1, ""},
		// Clocks of workers and coordinator differ by a little.
		{"more than all", crew(1000, [4]float64{500, 10.5, 0, 0}, [4]float64{500, 10.5, 0, 0}), 2, 1000 / 21.0, 2, 1, ""},
		{"a moment only", crew(1000, [4]float64{999, 9.5, 0, 0.5}, [4]float64{1, 1e-3, 0, 0}), 1.0001, 999 / 9.5, 1000 / 999.0 * 0.95, 0.95, ""},
		{"accounts of a part", crew(1000, [4]float64{400, 9.5, 0, 0.5}, [4]float64{400, 9.5, 0, 0.5}), 2, 1000 / 23.75, 0, 0, DoubtRows},
		{"too short", short(two()), 2, 1000 / 0.19, 0, 0, DoubtShort},
		{"nothing", crew(1000), 0, 0, 0, 0, ""},
		{"no rows", crew(0, [4]float64{0, 0, 0, 0}), 0, 0, 0, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.a.Worth()
			numtest.Close(t, []float64{w.Members, w.Alone, w.SpeedUp, w.Efficiency},
				[]float64{c.members, c.alone, c.speed, c.effic}, numtest.Tol{Rel: 2e-3, Why: "hand calculation to four digits"})
			if (w.Cause() != "") != (c.doubt == DoubtProbe) {
				t.Errorf("cause: got %q", w.Cause())
			}
			if w.Doubt != c.doubt {
				t.Errorf("doubt: got %q, want %q", w.Doubt, c.doubt)
			}
		})
	}
}

// TestWorthBounds checks that no account has a speed-up of more than its workers.
func TestWorthBounds(t *testing.T) {
	for i := range 2000 {
		n := func(k int) float64 { return float64((i*7919+k*104729)%1000) / 100 } // 0 to 10
		a := crew(1000, [4]float64{n(1) * 50, n(2), n(3) * n(2) / 10, n(4)}, [4]float64{n(5) * 50, n(6), 0, n(7)})
		if w := a.Worth(); !(w.SpeedUp <= w.Members && w.Members <= 2 && w.Efficiency <= 1) {
			t.Fatalf("account %+v: got %+v", a, w)
		}
	}
}

func TestBounds(t *testing.T) {
	a := crew(1000, [4]float64{500, 9.5, 0, 0.5}, [4]float64{500, 9.5, 0, 0.5})
	check := func(low, high float64) {
		t.Helper()
		l, h := a.Worth().Bounds(a)
		numtest.Close(t, []float64{l, h}, []float64{low, high}, numtest.Tol{Rel: 1e-12, Why: "a few divisions"})
	}
	check(1.9, 1.9)
	a = probed(a, 0, 100)
	check(1, 1.9)
	a = probed(a, 0, 25)
	check(1.9, 4)
}
