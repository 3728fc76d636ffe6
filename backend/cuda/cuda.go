// Package cuda trains and runs models on an NVIDIA card.
//
// It is built with the tag gpu, on gorgonia.org/cu; without the tag the backend
// is there too, and says what is missing. (The tag cuda is taken: with it Gorgonia
// builds CUDA code of its own, which wants a cuDNN that is no longer made.) What a card has to do is in package
// plan, the kernels in kernels. Here is who owns memory and when which launch
// happens: budget.go computes what a program needs before anything is allocated,
// session.go and train.go turn spans into replays of a captured step, and
// driver.go is the little that they want of a card, so that tests put a card in
// its place that is none.
//
// Importing the package in a build with the tag starts the driver, and a process
// ends there and then on a machine that has none: gorgonia.org/cu does so. That
// is why gespann and gespann-cuda are two programs.
package cuda

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gespann/gespann/backend/cuda/plan"
)

// HowToGet says where a program with this backend comes from.
const HowToGet = "make gpu builds bin/gespann-cuda; " +
	"docker build -f Dockerfile.cuda -t gespann-cuda . builds an image with it"

// ErrNotBuilt is what everything here returns in a build without the tag gpu.
var ErrNotBuilt = errors.New("this gespann is built without CUDA")

// tensorMajor is the major compute capability that tf32 and bf16 need.
const tensorMajor = 8

// leastMajor and leastMinor are the compute capability that the kernels need.
const (
	leastMajor = 7
	leastMinor = 5
)

// A Card is an NVIDIA card of this machine.
type Card struct {
	Index           int    `json:"index"`
	Name            string `json:"name"`
	MemoryBytes     int64  `json:"memory_bytes"`
	FreeBytes       int64  `json:"free_bytes"` // 0 when it was not asked
	Major           int    `json:"major"`      // compute capability
	Minor           int    `json:"minor"`
	Multiprocessors int    `json:"multiprocessors"`
	// Unusable says why the card cannot be used; "" when it can.
	Unusable string `json:"unusable,omitempty"`
}

// A Survey is what a machine has.
type Survey struct {
	Version int    `json:"driver"` // of CUDA that the driver speaks, as 1000·major + 10·minor
	Cards   []Card `json:"cards"`
	// Library is the library for large products, or why there is none; "" when it
	// was not looked for.
	Library string `json:"library,omitempty"`
}

// Driver is the version of CUDA that the driver speaks, such as "12.4".
func (s *Survey) Driver() string {
	return fmt.Sprintf("%d.%d", s.Version/1000, s.Version%1000/10)
}

// Card returns the card with that index, or says why it cannot be used.
func (s *Survey) Card(index int) (*Card, error) {
	if len(s.Cards) == 0 {
		return nil, errors.New("the driver finds no NVIDIA card")
	}
	if index < 0 || index >= len(s.Cards) {
		last := len(s.Cards) - 1
		return nil, fmt.Errorf("no card %d: this machine has card 0 to %d", index, last)
	}
	c := &s.Cards[index]
	if c.Unusable != "" {
		return nil, fmt.Errorf("card %d, %s: %s", index, c.Name, c.Unusable)
	}
	return c, nil
}

// String describes the card in a line.
func (c *Card) String() string {
	free := ""
	if c.FreeBytes > 0 {
		free = fmt.Sprintf(" (%s free)", gib(c.FreeBytes))
	}
	text := fmt.Sprintf("%s, %s%s, compute capability %d.%d, %d multiprocessors",
		c.Name, gib(c.MemoryBytes), free, c.Major, c.Minor, c.Multiprocessors)
	if c.Unusable != "" {
		text += ": " + c.Unusable
	}
	return text
}

// judge says why a card of that compute capability cannot be used, or "".
func judge(major, minor int) string {
	if major > leastMajor || major == leastMajor && minor >= leastMinor {
		return ""
	}
	return fmt.Sprintf("compute capability %d.%d, want %d.%d or more", major, minor, leastMajor, leastMinor)
}

// gib is a size with one decimal.
func gib(bytes int64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", bytes)
}

// Explain turns what a program with CUDA printed before it ended at once into
// the reason: gorgonia.org/cu ends the process where the driver does not start,
// and the loader does where there is none.
func Explain(printed string) string {
	for _, r := range []struct{ sign, reason string }{
		{"libcuda.so", "no NVIDIA driver on this machine (libcuda.so.1 is missing)"},
		{"NoDevice", "the driver finds no NVIDIA card"},
		{"SystemDriverMismatch", "the driver's library and its kernel module have different versions: reboot, " +
			"or reinstall the driver"},
		{"CompatNotSupportedOnDevice", "the CUDA compatibility package does not support this card: remove it from LD_LIBRARY_PATH"},
		{"SystemNotReady", "the system is not ready for CUDA: is the fabric manager running?"},
		{"UnknownErrorCode:34", "libcuda.so.1 is the stub for linking, not a driver"},
	} {
		if strings.Contains(printed, r.sign) {
			return r.reason
		}
	}
	if _, after, ok := strings.Cut(printed, "for details on: "); ok {
		return "the driver does not start: " + errorName(strings.TrimSpace(after))
	}
	if printed = strings.TrimSpace(printed); printed == "" {
		return "the driver does not start"
	}
	return "the driver does not start: " + printed
}

// precision returns how products multiply, if the card can.
func precision(name string, c *Card) (plan.Precision, error) {
	p, ok := map[string]plan.Precision{"": plan.FP32, "fp32": plan.FP32, "tf32": plan.TF32, "bf16": plan.BF16}[name]
	if !ok {
		return p, fmt.Errorf("precision %q: want fp32, tf32 or bf16", name)
	}
	if p != plan.FP32 && c.Major < tensorMajor {
		return p, fmt.Errorf("card %d, %s: compute capability %d.%d has no %s, which needs %d.0\n"+
			"hint: --set backend.precision=fp32", c.Index, c.Name, c.Major, c.Minor, name, tensorMajor)
	}
	return p, nil
}
