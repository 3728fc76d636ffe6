package emulator

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"

	"github.com/gespann/gespann/backend/cuda/plan"
)

// A Device is a running emulator: a range of memory, and kernels.
type Device struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	w    *bufio.Writer
	r    *bufio.Reader
	base uint64 // of the memory
}

// Start starts a program that Build has made.
func Start(program string) (*Device, error) {
	cmd := exec.Command(program)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &Device{cmd: cmd, in: in, w: bufio.NewWriterSize(in, 1<<16), r: bufio.NewReaderSize(out, 1<<16)}, nil
}

// Close ends the process.
func (d *Device) Close() error {
	d.in.Close()
	return d.cmd.Wait()
}

// Kernels returns the names of all kernels, sorted.
func (d *Device) Kernels() ([]string, error) {
	d.w.WriteByte('N')
	names, err := d.answer()
	return strings.Fields(names), err
}

// Alloc replaces the memory by so many bytes, whatever they hold.
func (d *Device) Alloc(bytes int64) error {
	d.w.WriteByte('M')
	d.number(uint64(bytes))
	if err := d.w.Flush(); err != nil {
		return err
	}
	return binary.Read(d.r, binary.LittleEndian, &d.base)
}

// Write copies b to an offset of the memory.
func (d *Device) Write(at int64, b []byte) {
	d.w.WriteByte('W')
	d.number(uint64(at))
	d.number(uint64(len(b)))
	d.w.Write(b)
}

// Read copies from an offset of the memory to b.
func (d *Device) Read(at int64, b []byte) error {
	d.w.WriteByte('R')
	d.number(uint64(at))
	d.number(uint64(len(b)))
	if err := d.w.Flush(); err != nil {
		return err
	}
	_, err := io.ReadFull(d.r, b)
	return err
}

// Launch runs a launch. Address says where a reference is in the memory.
func (d *Device) Launch(l plan.Launch, address func(plan.Ref) int64) error {
	d.w.WriteByte('L')
	d.bytes([]byte(l.Kernel))
	for _, v := range append(l.Grid[:], l.Block[:]...) {
		binary.Write(d.w, binary.LittleEndian, v)
	}
	binary.Write(d.w, binary.LittleEndian, uint32(len(l.Args)))
	for _, a := range l.Args {
		d.w.WriteByte(byte(a.Kind))
		d.bytes(d.Encode(a, address))
	}
	text, err := d.answer()
	if err == nil && text != "" {
		err = fmt.Errorf("%s: %s", l.Kernel, text)
	}
	return err
}

// Encode returns an argument as the kernel gets it.
func (d *Device) Encode(a plan.Arg, address func(plan.Ref) int64) []byte {
	le := binary.LittleEndian
	switch a.Kind {
	case plan.Pointer:
		if a.Ref.Buffer == plan.Null {
			return make([]byte, 8)
		}
		return le.AppendUint64(nil, d.base+uint64(address(a.Ref)))
	case plan.Int64, plan.Uint64:
		return le.AppendUint64(nil, uint64(a.Int))
	case plan.Float32:
		return le.AppendUint32(nil, math.Float32bits(float32(a.Float)))
	case plan.Float64:
		return le.AppendUint64(nil, math.Float64bits(a.Float))
	case plan.Struct:
		var b []byte
		for _, v := range a.Ints {
			b = le.AppendUint32(b, uint32(v))
		}
		return b
	default:
		return le.AppendUint32(nil, uint32(a.Int))
	}
}

// answer reads a text.
func (d *Device) answer() (string, error) {
	if err := d.w.Flush(); err != nil {
		return "", err
	}
	var n uint32
	if err := binary.Read(d.r, binary.LittleEndian, &n); err != nil {
		return "", fmt.Errorf("the emulator ended: %w", err)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(d.r, b)
	return string(b), err
}

func (d *Device) number(v uint64) { binary.Write(d.w, binary.LittleEndian, v) }

func (d *Device) bytes(b []byte) {
	binary.Write(d.w, binary.LittleEndian, uint32(len(b)))
	d.w.Write(b)
}
