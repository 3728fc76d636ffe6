package server

import (
	"testing"

	"github.com/gespann/gespann/dist/coord"
	"github.com/gespann/gespann/dist/strategy"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/numtest"
)

var exact = numtest.Tol{Why: "small whole numbers"}

// sum is a center that adds commits, and the mean of rounds.
type sum struct{ merges int }

func newSum() strategy.Center { return &sum{} }

func (s *sum) Merge(c, commit []float32, staleness int) {
	s.merges++
	for i := range c {
		c[i] += commit[i] * float32(1+staleness)
	}
	copy(commit, c)
}

func (*sum) Round(c []float32, commits [][]float32, steps []int) {
	for i := range c {
		c[i] = 0
		for k := range commits {
			c[i] += commits[k][i] * float32(steps[k])
		}
	}
}

func testTensors(p strategy.Pattern) *tensors {
	members := 0
	if p == strategy.Members {
		members = 3
	}
	return newTensors([]wire.Var{
		{Name: "a", Shape: []int{2}, Role: "param"},
		{Name: "m", Shape: []int{1}, Role: "optimizer"},
		{Name: "s", Shape: []int{}, Role: "state"},
	}, p, newSum, members)
}

func vector(v ...float32) *tensor { return wrap(nil, v) }

// get returns what goes with a message, as it is when it is sent, and gives the
// reference back.
func (t *tensors) get(tb testing.TB, w coord.With, m wire.Message, id string) []float32 {
	tb.Helper()
	v, err := t.payload(w, m, id)
	if err != nil {
		tb.Fatal(err)
	}
	defer v.release()
	return append([]float32(nil), v.data...)
}

// TestWindows merges commits, while a frame with the center is still on its way.
func TestWindows(t *testing.T) {
	j := testTensors(strategy.Windows)
	j.keep(vector(1, 2, 9, 3), true)
	sent, err := j.payload(coord.Center, &wire.Lease{}, "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := j.merge(coord.Merge{ID: "a", Staleness: 1}, vector(10, 20, 30)); err != nil {
		t.Fatal(err)
	}
	numtest.Close(t, sent.data, []float32{1, 2, 3}, exact)
	sent.release()
	numtest.Close(t, j.get(t, coord.Reply, &wire.Merged{}, "a"), []float32{21, 42, 63}, exact)
	if _, err := j.payload(coord.Reply, &wire.Merged{}, "a"); err == nil || err.Error() != "no reply is held" {
		t.Errorf("a second reply: got %v, want none", err)
	}
	numtest.Close(t, j.get(t, coord.Center, &wire.Lease{}, "b"), []float32{21, 42, 63}, exact)
	numtest.Close(t, j.get(t, coord.Whole, &wire.Variables{}, ""), []float32{21, 42, 9, 63}, exact)
	numtest.Close(t, j.get(t, coord.Base, &wire.Load{}, ""), []float32{1, 2, 9, 3}, exact)
}

// TestRounds merges what is held; a later commit of a worker takes the place of
// its earlier one.
func TestRounds(t *testing.T) {
	j := testTensors(strategy.Rounds)
	j.keep(vector(1, 2, 9, 3), true)
	j.hold(coord.Hold{ID: "a", Steps: 1}, vector(5, 5, 5))
	j.hold(coord.Hold{ID: "a", Steps: 2}, vector(1, 1, 1))
	j.hold(coord.Hold{ID: "b", Steps: 3}, vector(2, 4, 6))
	if err := j.round(coord.Round{IDs: []string{"a", "b"}}); err != nil {
		t.Fatal(err)
	}
	numtest.Close(t, j.get(t, coord.Center, &wire.Merged{}, "a"), []float32{8, 14, 20}, exact)
	err := j.round(coord.Round{IDs: []string{"a"}})
	if want := "round of worker a, of which nothing is held"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestAnew checks that what a center remembers is forgotten when variables come from
// outside.
func TestAnew(t *testing.T) {
	j := testTensors(strategy.Windows)
	for range 2 {
		j.keep(vector(1, 2, 9, 3), true)
		for range 3 {
			if err := j.merge(coord.Merge{ID: "a"}, vector(1, 1, 1)); err != nil {
				t.Fatal(err)
			}
		}
		j.keep(vector(1, 2, 9, 3), false)
		if got := j.center.(*sum).merges; got != 3 {
			t.Errorf("the center has seen %d merges since the variables came, want 3", got)
		}
	}
}

// TestMembers keeps the variables of an ensemble's members apart.
func TestMembers(t *testing.T) {
	j := testTensors(strategy.Members)
	if got := j.expects(&wire.Commit{}); got != 4 {
		t.Errorf("a commit has %d numbers, want all 4", got)
	}
	if got := j.expects(&wire.Restore{}); got != 12 {
		t.Errorf("variables have %d numbers, want 12 for three members", got)
	}
	if err := j.merge(coord.Merge{ID: "a", Member: 1}, vector(4, 5, 8, 6)); err == nil {
		t.Error("merge before restore: got nothing, want an error")
	}
	j.keep(vector(1, 2, 9, 3, 10, 20, 90, 30, 100, 200, 900, 300), true)
	sent, err := j.payload(coord.Center, &wire.Lease{Member: 1}, "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := j.merge(coord.Merge{ID: "a", Member: 1}, vector(4, 5, 8, 6)); err != nil {
		t.Fatal(err)
	}
	numtest.Close(t, sent.data, []float32{10, 20, 90, 30}, exact)
	sent.release()
	numtest.Close(t, j.get(t, coord.Base, &wire.Load{}, ""), []float32{1, 2, 9, 3}, exact)
	numtest.Close(t, j.get(t, coord.Center, &wire.Lease{Member: 1}, "b"), []float32{4, 5, 8, 6}, exact)
	numtest.Close(t, j.get(t, coord.Center, &wire.Lease{Member: 2}, "b"), []float32{100, 200, 900, 300}, exact)
	numtest.Close(t, j.get(t, coord.Whole, &wire.Variables{}, ""),
		[]float32{1, 2, 9, 3, 4, 5, 8, 6, 100, 200, 900, 300}, exact)
	if err := j.merge(coord.Merge{ID: "a", Member: 3}, vector(4, 5, 8, 6)); err == nil {
		t.Error("merge of a fourth member: got nothing, want an error")
	}
}

// TestReferences checks that memory is given up once nobody needs it, and not before.
func TestReferences(t *testing.T) {
	j := testTensors(strategy.Windows)
	base := vector(1, 2, 9, 3)
	j.keep(base, true)
	base.release() // as the loop does after the event
	sent, err := j.payload(coord.Base, &wire.Load{}, "")
	if err != nil {
		t.Fatal(err)
	}
	j.free()
	if sent.data == nil || sent.data[2] != 9 {
		t.Fatalf("a frame on its way lost its tensor: %v", sent.data)
	}
	sent.release()
	if sent.data != nil {
		t.Error("the tensor was not given back with its last reference")
	}
	defer func() {
		if recover() == nil {
			t.Error("releasing once more: got nothing, want a panic")
		}
	}()
	sent.release()
}

// TestReply checks that a commit becomes the reply in its own memory, and that the
// center stays in its own, unless a frame on its way has that.
func TestReply(t *testing.T) {
	j := testTensors(strategy.Windows)
	j.keep(vector(1, 2, 9, 3), true)
	merge := func() (reply *tensor) {
		commit := vector(1, 1, 1)
		memory := &commit.data[0]
		if err := j.merge(coord.Merge{ID: "a"}, commit); err != nil {
			t.Fatal(err)
		}
		commit.release() // as the loop does after the event
		reply, err := j.payload(coord.Reply, &wire.Merged{}, "a")
		if err != nil {
			t.Fatal(err)
		}
		if &reply.data[0] != memory {
			t.Error("the reply has other memory than the commit")
		}
		return reply
	}
	center := j.merged
	merge().release()
	if j.merged != center {
		t.Error("the center was copied, though nobody else had it")
	}
	sent, err := j.payload(coord.Center, &wire.Lease{}, "b")
	if err != nil {
		t.Fatal(err)
	}
	merge().release()
	numtest.Close(t, sent.data, []float32{2, 3, 4}, exact)
	numtest.Close(t, j.merged.data, []float32{3, 4, 5}, exact)
	sent.release()
	center = j.merged
	first := merge()
	merge().release()
	numtest.Close(t, first.data, []float32{4, 5, 6}, exact)
	numtest.Close(t, j.merged.data, []float32{5, 6, 7}, exact)
	if j.merged != center {
		t.Error("the center was copied because of a reply on its way")
	}
	first.release()
}
