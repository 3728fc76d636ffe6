package cuda

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/ir"
)

func TestErrorNames(t *testing.T) {
	for got, want := range map[string]string{
		"InvalidValue": "CUDA_ERROR_INVALID_VALUE", "NoBinaryForGpu": "CUDA_ERROR_NO_BINARY_FOR_GPU",
		"Assert": "CUDA_ERROR_ASSERT", "UnknownErrorCode:222": "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
		"UnknownErrorCode:12345": "CUDA error 12345", "MakeStream: OutOfMemory": "CUDA_ERROR_OUT_OF_MEMORY",
		"CUDA_ERROR_UNKNOWN": "CUDA_ERROR_UNKNOWN", "no such thing": "no such thing",
	} {
		if err := newDriverError(errors.New(got)); err.Error() != want {
			t.Errorf("%s is %v, want %s", got, err, want)
		}
	}
	if err := newDriverError(nil); err != nil {
		t.Errorf("no error is %v", err)
	}
	err := advised(driverError{"CUDA_ERROR_UNSUPPORTED_PTX_VERSION"})
	if want := "the driver is too old"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want it to say %s", err, want)
	}
}

func TestPrecision(t *testing.T) {
	turing, hopper := &Card{Name: "T4", Major: 7, Minor: 5}, &Card{Name: "H200", Major: 9}
	for _, c := range []struct {
		name string
		card *Card
		want plan.Precision
		err  string
	}{
		{"", turing, plan.FP32, ""},
		{"fp32", hopper, plan.FP32, ""},
		{"bf16", hopper, plan.BF16, ""},
		{"tf32", turing, plan.TF32, "card 0, T4: compute capability 7.5 has no tf32, which needs 8.0"},
		{"fp16", hopper, plan.FP32, `precision "fp16": want fp32, tf32 or bf16`},
	} {
		got, err := precision(c.name, c.card)
		if got != c.want || err == nil && c.err != "" || err != nil && (c.err == "" || !strings.HasPrefix(err.Error(), c.err)) {
			t.Errorf("precision(%q, %s) = %v, %v, want %v, %s", c.name, c.card.Name, got, err, c.want, c.err)
		}
	}
}

func TestCards(t *testing.T) {
	for _, c := range []struct {
		major, minor int
		want         string
	}{{7, 5, ""}, {8, 0, ""}, {12, 1, ""}, {7, 0, "compute capability 7.0, want 7.5 or more"}, {3, 7, "compute capability 3.7, want 7.5 or more"}} {
		if got := judge(c.major, c.minor); got != c.want {
			t.Errorf("judge(%d, %d) = %q, want %q", c.major, c.minor, got, c.want)
		}
	}
	card := Card{Name: "NVIDIA T4", MemoryBytes: 15 << 30, FreeBytes: 512 << 20, Major: 7, Minor: 5, Multiprocessors: 40}
	want := "NVIDIA T4, 15.0 GiB (512.0 MiB free), compute capability 7.5, 40 multiprocessors"
	if got := card.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := new(Survey).Card(0); err == nil {
		t.Error("a card of none")
	}
}

// TestPack checks that arguments lie where a kernel looks for them.
func TestPack(t *testing.T) {
	at := places{vars: []address{64, 128}}
	at.base[plan.Arena] = 4096
	got := at.pack([]plan.Arg{
		{Kind: plan.Int32, Int: -1},
		{Kind: plan.Pointer, Ref: plan.Ref{Buffer: plan.Vars, Index: 1, Offset: 8}},
		{Kind: plan.Struct, Ints: []int32{1, 2, 3}},
		{Kind: plan.Pointer, Ref: plan.Ref{Buffer: plan.Arena, Offset: 256}},
		{Kind: plan.Pointer},
		{Kind: plan.Float32, Float: 1},
	})
	want := packed{
		bytes: []byte{255, 255, 255, 255, 0, 0, 0, 0, 136, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,
			0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 63},
		offsets: []uint32{0, 8, 16, 32, 40, 48},
	}
	if string(got.bytes) != string(want.bytes) || len(got.offsets) != 6 || got.offsets[3] != 32 || got.offsets[5] != 48 {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// TestPace checks that marks come about every shortMark to longMark.
func TestPace(t *testing.T) {
	f := newFake(t, 0)
	clock := time.Unix(0, 0)
	p := newPace(func() time.Time { return clock })
	for _, perStep := range []time.Duration{10 * time.Microsecond, 3 * time.Millisecond, 100 * time.Millisecond} {
		p.begin()
		for range 4000 {
			clock = clock.Add(perStep)
			if err := p.step(f); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Duration(p.replay) * perStep; took > longMark && p.replay > 1 || took < shortMark/2 {
			t.Errorf("steps of %v: a mark every %v", perStep, took)
		}
	}
}

// TestFaultNames checks how a failing instruction is named.
func TestFaultNames(t *testing.T) {
	p := &ir.Program{
		Values: []ir.Value{{Shape: []int{64, 784}}, {Shape: []int{784, 10}}, {Shape: []int{10}}, {Shape: []int{64, 10}}},
		Instrs: []ir.Instr{{Op: ir.MatMul, In: []ir.Slot{0, 1, 2, 3}, Layer: "model[1] dense"}},
	}
	err := &instrError{p, 0, "launch", driverError{"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"}}
	want := "matmul (model[1] dense) x [64,784] [784,10] [10] ...: launch: CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"
	if err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
