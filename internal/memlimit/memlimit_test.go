package memlimit

import (
	"errors"
	"testing"
)

func TestCheck(t *testing.T) {
	calls := 0
	limits := func() []Limit {
		calls++
		return []Limit{{100, "this machine has"}, {10 << 20, "another has"}, {-5, "ulimit -v leaves"}}
	}
	err := check(3<<30, limits)
	var short *ShortError
	if !errors.As(err, &short) || err.Error() != "out of memory: it takes 3.0 GiB, and ulimit -v leaves 0 bytes to give" {
		t.Errorf("got %v", err)
	}
	if calls != 2 {
		t.Errorf("looked %d times, want once more after garbage was given back", calls)
	}
	if err := check(100, func() []Limit { return []Limit{{100, "x"}} }); err != nil {
		t.Errorf("what fits exactly: got %v", err)
	}
	if err := check(1<<60, func() []Limit { return nil }); err != nil {
		t.Errorf("without known limits: got %v", err)
	}
	// Garbage that is given back in time.
	free := int64(1)
	if err := check(50, func() []Limit { free *= 10; return []Limit{{free, "x"}} }); err != nil {
		t.Errorf("after garbage was given back: got %v", err)
	}
}

func TestText(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 1 << 30: "1.0 GiB",
		5 << 40: "5.0 TiB", 1 << 62: "4096.0 PiB",
	} {
		if got := Text(bytes); got != want {
			t.Errorf("%d: got %s, want %s", bytes, got, want)
		}
	}
}

// TestThisMachine checks that there is something to have, and not everything.
func TestThisMachine(t *testing.T) {
	if err := Check(1 << 20); err != nil {
		t.Error(err)
	}
	if len(limits()) == 0 {
		t.Skip("this system tells no limits")
	}
	if err := Check(1 << 60); err == nil {
		t.Error("there is an exbibyte")
	}
}
