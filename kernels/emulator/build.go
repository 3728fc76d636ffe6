// Package emulator runs the kernels of package kernels on the host: it compiles
// them with g++ through a shim, keeps them in a process of their own, and drives
// them with the plans that a device gets. It is for tests. It finds wrong
// arithmetic, wrong indices, missing barriers and arguments that do not fit; it
// says nothing about speed, and little about what depends on the order of blocks.
package emulator

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNoCompiler is returned where there is no g++.
var ErrNoCompiler = errors.New("there is no g++")

// Build compiles the kernels in folder dir, which has the shim in its
// sub-folder host, and returns the program. It is kept in the user's cache, by
// the hash of what it was made from.
func Build(dir string) (string, error) {
	compiler, err := exec.LookPath("g++")
	if err != nil {
		return "", ErrNoCompiler
	}
	flags := []string{"-std=c++17", "-O1", "-ffp-contract=off", "-fno-strict-aliasing", "-w",
		"-fsanitize=alignment", "-fsanitize-undefined-trap-on-error"} // float4 at 4 bytes is a fault on a device
	hash, err := sourceHash(dir, append(flags, compiler))
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "gespann")
	program := filepath.Join(cache, "kernels-"+hash)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	// Another test may build at the same time: each writes its own file.
	temporary, err := os.CreateTemp(cache, "building-*")
	if err != nil {
		return "", err
	}
	temporary.Close()
	defer os.Remove(temporary.Name())
	args := append(flags, "-o", temporary.Name(), filepath.Join(dir, "host", "main.cpp"))
	if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("g++: %w\n%s", err, out)
	}
	return program, os.Rename(temporary.Name(), program)
}

// sourceHash names what the program is made from.
func sourceHash(dir string, flags []string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, flags)
	for _, pattern := range []string{"*.cu", "*.cuh", "host/*.h", "host/*.cpp"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				return "", err
			}
			fmt.Fprintln(h, filepath.Base(f), len(text))
			h.Write(text)
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:12]), nil
}
