package cuda

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/gespann/gespann/backend/ir"
)

// A driverError is what the driver answered to a call.
type driverError struct{ name string } // CUDA_ERROR_INVALID_VALUE

func (e driverError) Error() string { return e.name }

// newDriverError names an error of gorgonia.org/cu as CUDA does.
func newDriverError(err error) error {
	if err == nil {
		return nil
	}
	return driverError{errorName(err.Error())}
}

// numbered names errors that gorgonia.org/cu has only the number of.
var numbered = map[string]string{
	"34": "STUB_LIBRARY", "46": "DEVICE_UNAVAILABLE", "205": "MAP_FAILED",
	"222": "UNSUPPORTED_PTX_VERSION", "223": "JIT_COMPILATION_DISABLED",
	"226": "CONTAINED", "719": "LAUNCH_FAILED", "999": "UNKNOWN",
}

// errorName turns a name such as InvalidValue into CUDA_ERROR_INVALID_VALUE.
func errorName(name string) string {
	if i := strings.LastIndex(name, ": "); i >= 0 {
		name = name[i+2:] // without the words that cu puts before it
	}
	if number, ok := strings.CutPrefix(name, "UnknownErrorCode:"); ok {
		if known := numbered[number]; known != "" {
			return "CUDA_ERROR_" + known
		}
		return "CUDA error " + number
	}
	if strings.HasPrefix(name, "CUDA_") || strings.Contains(name, " ") {
		return name
	}
	var b strings.Builder
	b.WriteString("CUDA_ERROR")
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}

// advice says what an answer of the driver means for its user, or "".
func advice(err error) string {
	switch e, _ := err.(driverError); e.name {
	case "CUDA_ERROR_UNSUPPORTED_PTX_VERSION":
		return "the driver is too old for these kernels: they need one for CUDA 12.4 or later"
	case "CUDA_ERROR_DEVICE_UNAVAILABLE":
		return "another process holds the card, which is set to serve one at a time: nvidia-smi shows which"
	case "CUDA_ERROR_OUT_OF_MEMORY":
		return "other processes use the card's memory: nvidia-smi shows which"
	case "CUDA_ERROR_NO_BINARY_FOR_GPU", "CUDA_ERROR_INVALID_PTX":
		return "the kernels have no form for this card"
	case "CUDA_ERROR_JIT_COMPILER_NOT_FOUND":
		return "the driver's compiler, libnvidia-ptxjitcompiler, is missing: reinstall the driver"
	case "CUDA_ERROR_ECC_UNCORRECTABLE", "CUDA_ERROR_HARDWARE_STACK_ERROR":
		return "the card is at fault: nvidia-smi -q shows its errors"
	}
	return ""
}

// advised adds the advice to an error.
func advised(err error) error {
	if hint := advice(err); hint != "" {
		return fmt.Errorf("%w: %s", err, hint)
	}
	return err
}

// An instrError says at which instruction of a program something failed.
type instrError struct {
	p    *ir.Program
	at   int
	what string // "launch", "capture"
	err  error
}

// Error names op, layer and the shape of the first input:
//
//	softmax_xent (model[4] dense) x [64,10]: launch: CUDA_ERROR_INVALID_VALUE
func (e *instrError) Error() string {
	return fmt.Sprintf("%s: %s: %v", e.name(), e.what, advised(e.err))
}

// name is the instruction without the error.
func (e *instrError) name() string {
	ins := &e.p.Instrs[e.at]
	return fmt.Sprintf("%v (%s) %s", ins.Op, ins.Layer, e.shapes())
}

func (e *instrError) Unwrap() error { return e.err }

// shapes lists the shapes of the inputs, of the first few when there are many.
func (e *instrError) shapes() string {
	const most = 3
	ins := &e.p.Instrs[e.at]
	var words []string
	for i, s := range ins.In {
		if i == most {
			words = append(words, "...")
			break
		}
		words = append(words, ir.ShapeText(e.p.Values[s].Shape))
	}
	return "x " + strings.Join(words, " ")
}
