package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestWorkerWaitsForName starts a worker whose coordinator has no name yet, as a pod has
// that is being made: it tries again, until its patience is over.
func TestWorkerWaitsForName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	must(t, "certs", dir)
	code, _, said := gespann(t, "", "worker", "--coordinator", "driver.invalid:7077", "--certs", dir, "--patience", "300ms")
	if code != 1 || strings.Count(said, "trying again") < 2 || !strings.Contains(said, "gespann: address \"driver.invalid:7077\": lookup driver.invalid") {
		t.Errorf("got %d, %s", code, said)
	}
}
