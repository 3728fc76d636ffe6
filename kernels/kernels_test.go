package kernels_test

import (
	"errors"
	"os"
	"testing"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/host"
	"github.com/gespann/gespann/kernels/emulator"
)

// start starts an emulator of the kernels here. Without a compiler the test is
// skipped, but never where CI is set.
func start(t *testing.T) *emulator.Device {
	t.Helper()
	program, err := emulator.Build(".")
	if errors.Is(err, emulator.ErrNoCompiler) && os.Getenv("CI") == "" {
		t.Skip("kernels are not tested here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	d, err := emulator.Start(program)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestOps runs the suite of all backends on the kernels, by the plans that a device
// gets.
func TestOps(t *testing.T) {
	backendtest.Ops(t, func(t *testing.T) host.Executor {
		return &emulator.Executor{Device: start(t), Fail: func(err error) { t.Error(err) }}
	})
}
