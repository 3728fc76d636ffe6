//go:build gpu

package cuda

import (
	"fmt"

	"gorgonia.org/cu"

	"github.com/gespann/gespann/kernels"
)

// maxShared is the dynamic shared memory that every kernel may use without
// asking.
const maxShared = 48 << 10

// Prepare loads a kernel. The driver compiles the PTX of its module for the card,
// once: it keeps the result on disk.
func (d *card) Prepare(kernel string, sharedBytes uint32) error {
	f, ok := d.functions[kernel]
	if !ok {
		m, err := d.module(kernel)
		if err != nil {
			return err
		}
		if f, err = m.Function(kernel); err != nil {
			return newDriverError(err)
		}
		d.functions[kernel] = f
	}
	if sharedBytes > maxShared {
		return allowShared(f, sharedBytes)
	}
	return nil
}

// module returns the loaded module that has a kernel.
func (d *card) module(kernel string) (cu.Module, error) {
	m, err := kernels.Find(kernel)
	if err != nil {
		return cu.Module{}, err
	}
	if loaded, ok := d.modules[m.Name]; ok {
		return loaded, nil
	}
	if m.SM > d.sm {
		return cu.Module{}, fmt.Errorf("module %s is for compute capability %d.%d and later, the card has %d.%d",
			m.Name, m.SM/10, m.SM%10, d.sm/10, d.sm%10)
	}
	loaded, err := cu.LoadData(m.Text)
	if err != nil {
		return loaded, newDriverError(err)
	}
	d.modules[m.Name] = loaded
	return loaded, nil
}
