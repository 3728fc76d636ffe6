//go:build gpu

package cuda

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/ir"
)

// Built reports whether this build can use a card.
const Built = true

func init() { backend.Register("gpu", gpu{}) }

// gpu trains on a card.
type gpu struct{}

func (gpu) Open(ctx context.Context, job backend.Job) (backend.Session, error) {
	survey, err := Ask(job.Device)
	if err != nil {
		return nil, fmt.Errorf("cuda: %w", err)
	}
	c, err := survey.Card(job.Device)
	if err != nil {
		return nil, fmt.Errorf("cuda: %w", err)
	}
	o, err := optionsOn(c, &job)
	if err != nil {
		return nil, fmt.Errorf("cuda: %w", err)
	}
	dev, err := newCard(c)
	if err != nil {
		return nil, fmt.Errorf("cuda: card %d, %s: %w", c.Index, c.Name, advised(err))
	}
	s := newSession(job, dev)
	s.reopen = func() (device, error) { return newCard(c) }
	return s.opened(ctx, o)
}

// Plan implements backend.Planner, for the card of the job.
func (gpu) Plan(job backend.Job, programs ...*ir.Program) (string, error) {
	survey, err := Ask(job.Device)
	if err != nil {
		return "", fmt.Errorf("cuda: %w", err)
	}
	c, err := survey.Card(job.Device)
	if err != nil {
		return "", fmt.Errorf("cuda: %w", err)
	}
	return describe(c, job, programs)
}

// Ask returns the cards of this machine. Of all but card only, less is asked,
// which is quicker; -1 asks all.
func Ask(only int) (*Survey, error) {
	n, err := cu.NumDevices()
	if err != nil {
		return nil, newDriverError(err)
	}
	s := &Survey{Version: cu.Version()}
	if only < 0 {
		s.Library = libraryFound()
	}
	for i := range n {
		c := Card{Index: i}
		if err := c.describe(only < 0 || only == i); err != nil {
			c.Unusable = advised(newDriverError(err)).Error()
		}
		s.Cards = append(s.Cards, c)
	}
	return s, nil
}

// describe fills in what the driver says, and with try, whether a context can be
// made and how much memory is free.
func (c *Card) describe(try bool) error {
	dev, err := cu.GetDevice(c.Index)
	if err != nil {
		return err
	}
	if c.Name, err = dev.Name(); err != nil {
		return err
	}
	if c.MemoryBytes, err = dev.TotalMem(); err != nil {
		return err
	}
	for _, a := range []struct {
		to   *int
		what cu.DeviceAttribute
	}{
		{&c.Major, cu.ComputeCapabilityMajor}, {&c.Minor, cu.ComputeCapabilityMinor},
		{&c.Multiprocessors, cu.MultiprocessorCount},
	} {
		if *a.to, err = dev.Attribute(a.what); err != nil {
			return err
		}
	}
	if c.Unusable = judge(c.Major, c.Minor); c.Unusable != "" || !try {
		return nil
	}
	return onContext(dev, func(cu.CUContext) error {
		c.FreeBytes, _, err = cu.MemInfo()
		return err
	})
}

// onContext calls f with a context of its own, which it destroys.
func onContext(dev cu.Device, f func(cu.CUContext) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, err := dev.MakeContext(cu.SchedAuto)
	if err != nil {
		return err
	}
	return errors.Join(f(ctx), ctx.Destroy())
}

// A card is a device with a context, which calls come to through Do.
type card struct {
	ctx       *cu.Ctx
	stream    cu.Stream // lane 0
	aside     cu.Stream // lane 1, for capturing only
	lane      int
	joints    [numLanes]cu.Event
	marks     [numMarks]cu.Event
	marked    [numMarks]bool
	clock     [2]cu.Event // with times
	modules   map[string]cu.Module
	functions map[string]cu.Function
	sm        int
	lt        *library // nil before it is wanted
}

// newCard makes a context on a card.
func newCard(c *Card) (*card, error) {
	dev, err := cu.GetDevice(c.Index)
	if err != nil {
		return nil, newDriverError(err)
	}
	own, err := makeContext(dev)
	if err != nil {
		return nil, newDriverError(err)
	}
	d := &card{
		ctx: cu.CtxFromCUContext(dev, own, cu.SchedAuto), sm: 10*c.Major + c.Minor,
		modules: map[string]cu.Module{}, functions: map[string]cu.Function{},
	}
	started := make(chan error)
	go d.ctx.Run(started)
	if err := <-started; err != nil {
		return nil, newDriverError(err)
	}
	if err := d.Do(d.start); err != nil {
		return nil, errors.Join(newDriverError(err), d.Close())
	}
	return d, nil
}

// makeContext makes a context that is current on no thread.
func makeContext(dev cu.Device) (cu.CUContext, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, err := dev.MakeContext(cu.SchedAuto)
	if err != nil {
		return ctx, err
	}
	_, err = cu.PopCurrentCtx()
	return ctx, err
}

func (d *card) start() (err error) {
	if d.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
		return err
	}
	if d.aside, err = cu.MakeStream(cu.NonBlocking); err != nil {
		return err
	}
	for i := range d.joints {
		if d.joints[i], err = cu.MakeEvent(cu.DisableTiming); err != nil {
			return err
		}
	}
	for i := range d.marks {
		if d.marks[i], err = cu.MakeEvent(cu.DisableTiming); err != nil {
			return err
		}
	}
	for i := range d.clock {
		if d.clock[i], err = cu.MakeEvent(cu.DefaultEvent); err != nil {
			return err
		}
	}
	return nil
}

// Do calls f on the thread of the context, where all other methods but Close
// must be called.
func (d *card) Do(f func() error) error { return d.ctx.Do(f) }

// Close destroys the context and all that belongs to it. Within Do it would cut
// off the answer of Do.
func (d *card) Close() error {
	if d.lt != nil {
		d.Do(func() error { d.lt.close(); return nil })
	}
	return newDriverError(d.ctx.Close())
}

func (d *card) Free() (int64, error) {
	free, _, err := cu.MemInfo()
	return free, newDriverError(err)
}

func (d *card) Alloc(bytes int64) (address, error) {
	p, err := cu.MemAlloc(bytes)
	return address(p), newDriverError(err)
}

// Release frees memory when the device no longer uses it: the driver waits.
func (d *card) Release(a address) error { return newDriverError(cu.MemFree(cu.DevicePtr(a))) }

func (d *card) Pinned(bytes int) ([]byte, error) {
	if bytes == 0 {
		return nil, nil
	}
	return hostMemory(bytes)
}

// Visible is the same address: all memory has one range of addresses.
func (d *card) Visible(pinned []byte) address {
	return address(uintptr(unsafe.Pointer(unsafe.SliceData(pinned))))
}

func (d *card) Upload(dst address, src []byte) error {
	if len(src) == 0 {
		return nil
	}
	return newDriverError(cu.MemcpyHtoDAsync(cu.DevicePtr(dst), unsafe.Pointer(&src[0]), int64(len(src)), d.stream))
}

func (d *card) Download(dst []byte, src address) error {
	if len(dst) == 0 {
		return nil
	}
	return newDriverError(cu.MemcpyDtoHAsync(unsafe.Pointer(&dst[0]), cu.DevicePtr(src), int64(len(dst)), d.stream))
}

func (d *card) Clear(dst address, bytes int64) error {
	return newDriverError(cu.MemsetD8Async(cu.DevicePtr(dst), 0, bytes, d.stream))
}

func (d *card) Launch(c *command) error {
	if c.by != nil {
		return c.by.(*ltProduct).multiply(d.lanes(d.lane))
	}
	f, ok := d.functions[c.Kernel]
	if !ok {
		return fmt.Errorf("kernel %s is not loaded", c.Kernel)
	}
	return launchKernel(f, c, d.lanes(d.lane))
}

// lanes returns the stream of a lane.
func (d *card) lanes(i int) cu.Stream {
	if i == 0 {
		return d.stream
	}
	return d.aside
}

// Lane makes launches go to a lane.
func (d *card) Lane(i int) { d.lane = i }

// Join makes a lane wait for another.
func (d *card) Join(from, to int) error {
	if err := d.joints[from].Record(d.lanes(from)); err != nil {
		return newDriverError(err)
	}
	return newDriverError(d.lanes(to).Wait(d.joints[from], 0))
}

func (d *card) Capture(launches func() error) (graph, error) {
	if err := beginCapture(d.stream); err != nil {
		return nil, err
	}
	err := launches()
	g, captureErr := endCapture(d.stream)
	if err != nil {
		return nil, err
	}
	return g, captureErr
}

func (d *card) Replay(g graph) error { return g.(*replayer).launch() }

func (d *card) Mark(i int) error {
	d.marked[i] = true
	return newDriverError(d.marks[i].Record(d.stream))
}

func (d *card) Await(i int) error {
	if !d.marked[i] {
		return nil
	}
	return newDriverError(d.marks[i].Synchronize())
}

func (d *card) Sync() error { return newDriverError(d.stream.Synchronize()) }

// mark sets a time behind all that was asked so far, and sinceMark waits for
// everything and returns the milliseconds since mark 0.
func (d *card) mark(i int) error { return newDriverError(d.clock[i].Record(d.stream)) }

func (d *card) sinceMark() (ms float64, err error) {
	if err := d.mark(1); err != nil {
		return 0, err
	}
	if err := d.clock[1].Synchronize(); err != nil {
		return 0, newDriverError(err)
	}
	ms, err = d.clock[0].Elapsed(d.clock[1])
	return ms, newDriverError(err)
}

func (d *card) Time(f func() error) (time.Duration, error) {
	if err := d.mark(0); err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	ms, err := d.sinceMark()
	return time.Duration(ms * float64(time.Millisecond)), err
}
