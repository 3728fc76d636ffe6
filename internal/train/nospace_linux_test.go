package train

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

// tmpfs mounts a small file system in memory.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mounting a tmpfs: %v", err)
		}
		t.Skipf("%s: mounting a tmpfs needs root: %v", t.Name(), err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// TestNoSpace fills the disk of a run, makes room, and checks that the run goes on
// from its last checkpoint as if nothing had happened.
func TestNoSpace(t *testing.T) {
	yaml := strings.Replace(plain, "units: 5", "units: 500", 1) // 65 kB per checkpoint
	whole := newTestRun(t, yaml)
	want := whole.outcome(whole.must())

	r := newTestRun(t, yaml)
	r.spec.Train.Dir = tmpfs(t, "size=280k") // the best, one more, and not a third
	_, err := r.run(context.Background(), 0, nil)
	var stopped *StoppedError
	if !errors.As(err, &stopped) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v, want a StoppedError with ENOSPC", err)
	}
	for _, want := range []string{": it needs ", " bytes: no space left on device; the last checkpoint is "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ... %s ...", err, want)
		}
	}
	if _, _, err := readState(stopped.Checkpoint); err != nil {
		t.Errorf("the last checkpoint: %v", err)
	}
	if err := syscall.Mount("tmpfs", r.spec.Train.Dir, "tmpfs", syscall.MS_REMOUNT, "size=2m"); err != nil {
		t.Fatal(err)
	}
	same(t, "after making room", r.outcome(r.must()), want)
}

// TestReadOnly checks the message about a folder that cannot be written to.
func TestReadOnly(t *testing.T) {
	s := mustParse(t, "adam")
	s.Train.Dir = tmpfs(t, "ro")
	_, err := Create(s, testSet())
	if want := "run directory " + s.Train.Dir + "/mlp: read-only file system"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
