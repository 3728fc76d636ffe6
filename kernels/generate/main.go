// Command generate compiles the kernels to PTX with nvcc, and checks with ptxas
// that all cards accept it. It is run in folder kernels:
//
//	go run ./generate           compile what has changed
//	go run ./generate -all      compile everything
//	go run ./generate -check    no compiling: ptxas for each architecture
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gespann/gespann/kernels"
)

// ptxVersion is written into the PTX, so that drivers from CUDA 11.0 on take it:
// nvcc names its own version, but these kernels need no more than this.
const ptxVersion = ".version 7.0"

// sms are the architectures that check compiles for.
var sms = []int{75, 80, 90}

func main() {
	all := flag.Bool("all", false, "compile also what has not changed")
	check := flag.Bool("check", false, "compile the PTX for each architecture, and report registers and spills")
	flag.Parse()
	run := func() error { return compileAll(*all) }
	if *check {
		run = checkAll
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// target returns the least compute capability, times 10, of a module.
func target(module string) int {
	if strings.HasSuffix(module, "_tf32") || strings.HasSuffix(module, "_bf16") {
		return 80
	}
	return 75
}

func compileAll(all bool) error {
	sources, err := filepath.Glob("*.cu")
	if err != nil {
		return err
	}
	if len(sources) == 0 {
		return fmt.Errorf("there are no sources: run it in folder kernels")
	}
	for _, source := range sources {
		module := strings.TrimSuffix(source, ".cu")
		hash, err := kernels.SourceHash(os.DirFS("."), source)
		if err != nil {
			return err
		}
		out := filepath.Join("ptx", module+".ptx")
		if old, err := os.ReadFile(out); err == nil && kernels.HashIn(string(old)) == hash && !all {
			continue
		}
		if err := compile(module, hash, out); err != nil {
			return err
		}
	}
	return nil
}

func compile(module, hash, out string) error {
	dir, err := os.MkdirTemp("", "kernels")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	raw := filepath.Join(dir, "raw.ptx")
	cmd := exec.Command("nvcc", "-std=c++17", "-O3", fmt.Sprintf("-arch=compute_%d", target(module)), "-ptx",
		module+".cu", "-o", raw)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("nvcc %s.cu: %w", module, err)
	}
	text, err := os.ReadFile(raw)
	if err != nil {
		return err
	}
	return os.WriteFile(out, []byte(kernels.Header(module, hash)+clean(string(text))), 0o644)
}

// clean removes comments and empty lines, which say when and by what the text was
// made.
func clean(text string) string {
	var s strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\n")
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(strings.TrimSpace(line), "//"):
			continue
		case strings.HasPrefix(line, ".version"):
			line = ptxVersion
		}
		s.WriteString(line + "\n")
	}
	return s.String()
}

var (
	compiling = regexp.MustCompile(`Compiling entry function '(\w+)'`)
	spills    = regexp.MustCompile(`(\d+) bytes stack frame, (\d+) bytes spill stores`)
	used      = regexp.MustCompile(`Used (\d+) registers.*`)
)

// checkAll compiles every module for every architecture.
func checkAll() error {
	all, err := kernels.Modules()
	if err != nil {
		return err
	}
	bad := 0
	for _, sm := range sms {
		count := 0
		for _, m := range all {
			if m.SM > sm {
				continue
			}
			spilling, err := assemble(m, sm)
			if err != nil {
				return err
			}
			bad += spilling
			count += len(m.Kernels)
		}
		fmt.Printf("sm_%d: ptxas accepts %d kernels\n", sm, count)
	}
	if bad > 0 {
		return fmt.Errorf("%d kernels spill registers", bad)
	}
	return nil
}

// assemble runs ptxas, prints the kernels that spill, and returns their number.
func assemble(m kernels.Module, sm int) (spilling int, err error) {
	cmd := exec.Command("ptxas", "-v", fmt.Sprintf("-arch=sm_%d", sm), filepath.Join("ptx", m.Name+".ptx"),
		"-o", os.DevNull)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("ptxas %s.ptx: %w\n%s", m.Name, err, out)
	}
	kernel, spilled := "", ""
	for line := range strings.Lines(string(out)) {
		if found := compiling.FindStringSubmatch(line); found != nil {
			kernel, spilled = found[1], ""
		}
		if found := spills.FindStringSubmatch(line); found != nil && found[2] != "0" {
			spilled = found[0]
		}
		if found := used.FindString(line); found != "" && spilled != "" {
			fmt.Printf("sm_%d %s: %s; %s\n", sm, kernel, spilled, found)
			spilling++
		}
	}
	return spilling, nil
}
