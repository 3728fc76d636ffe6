package cuda

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/kernels/emulator"
)

// emulatedBytes is the memory of an emulated device.
const emulatedBytes = 8 << 20

// An emulated device runs the kernels themselves, compiled for the host.
type emulated struct {
	*fake // counts, and lends Pinned, marks and graphs
	dev   *emulator.Device
	base  address
	next  int64
}

// newEmulated starts a device. Without a compiler the test is skipped, but never
// where CI is set.
func newEmulated(t testing.TB) *emulated {
	t.Helper()
	program, err := emulator.Build(filepath.Join("..", "..", "kernels"))
	if errors.Is(err, emulator.ErrNoCompiler) && os.Getenv("CI") == "" {
		t.Skip("sessions are not tested on kernels here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dev, err := emulator.Start(program)
	if err != nil {
		t.Fatal(err)
	}
	e := &emulated{fake: newFake(t, plenty), dev: dev}
	if err := dev.Alloc(emulatedBytes); err != nil {
		t.Fatal(err)
	}
	start := dev.Encode(plan.Arg{Kind: plan.Pointer, Ref: plan.Ref{Buffer: plan.Arena}}, func(plan.Ref) int64 { return 0 })
	e.base = address(binary.LittleEndian.Uint64(start))
	return e
}

func (e *emulated) Alloc(bytes int64) (address, error) {
	at := e.next
	if e.next += align(bytes); e.next > emulatedBytes {
		return 0, driverError{"CUDA_ERROR_OUT_OF_MEMORY"}
	}
	return e.base + address(at), nil
}

// Visible is nowhere: the kernels are in another process.
func (e *emulated) Visible([]byte) address { return 0 }

func (e *emulated) Release(address) error { return nil }

func (e *emulated) offset(a address) int64 { return int64(a - e.base) }

func (e *emulated) Upload(dst address, src []byte) error {
	e.dev.Write(e.offset(dst), src)
	return nil
}

func (e *emulated) Download(dst []byte, src address) error { return e.dev.Read(e.offset(src), dst) }

func (e *emulated) Clear(dst address, bytes int64) error { return e.Upload(dst, make([]byte, bytes)) }

func (e *emulated) Launch(c *command) error {
	if e.capturing != nil {
		return e.fake.Launch(c)
	}
	return e.dev.Launch(c.Launch, func(r plan.Ref) int64 { return e.offset(c.at.address(r)) })
}

func (e *emulated) Replay(g graph) error {
	return g.(*fakeGraph).order(e.Launch)
}

func (e *emulated) Close() error { return e.dev.Close() }

// emulations opens sessions on emulated devices.
type emulations struct{ t testing.TB }

func (b emulations) Open(ctx context.Context, job backend.Job) (backend.Session, error) {
	return open(ctx, job, newEmulated(b.t), plan.Options{Multiprocessors: 2})
}

// TestEmulatedSession runs the suite of all backends with the kernels, on the
// host.
func TestEmulatedSession(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	backendtest.Session(t, emulations{t}, backendtest.Allocates, backendtest.NoThreads)
	backendtest.ReplicaOf(t, emulations{t})
}
