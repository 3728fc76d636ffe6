package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gespann/gespann/backend/cuda"
)

// companion is the name of the program with the gpu backend. It is a program of
// its own because it ends at once on a machine without a driver.
const companion = "gespann-cuda"

// devel is the version of a build that does not know its commit.
const devel = "(devel)"

// patience is how long the companion may take to look at the cards. Drivers that
// are not kept loaded take seconds per card.
const patience = time.Minute

// howToGet says where the companion comes from.
const howToGet = "hint: " + cuda.HowToGet

// findCompanion returns the path of the companion of this program: the one
// beside it, else on PATH.
func findCompanion() (string, error) {
	name := companion
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	path := ""
	if own, err := os.Executable(); err == nil {
		if own, err = filepath.EvalSymlinks(own); err == nil {
			path, _ = exec.LookPath(filepath.Join(filepath.Dir(own), name))
		}
	}
	if path == "" {
		path, _ = exec.LookPath(name)
	}
	if path == "" {
		return "", fmt.Errorf("%w, and there is no %s beside it or on PATH\n%s", cuda.ErrNotBuilt, companion, howToGet)
	}
	return path, checkCompanion(path)
}

// checkCompanion reads how the program was built, without running it: with CUDA,
// and from the same source as this one.
func checkCompanion(path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	own, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	return sameSource(path, info, own)
}

// sameSource compares how a companion and this program were built.
func sameSource(path string, info, own *debug.BuildInfo) error {
	tags := ""
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			tags = s.Value
		}
	}
	switch {
	case info.Main.Path != own.Main.Path:
		return fmt.Errorf("%s: is built from %s, not from %s", path, info.Main.Path, own.Main.Path)
	case info.Main.Version != own.Main.Version && own.Main.Version != devel && info.Main.Version != devel:
		return fmt.Errorf("%s: is version %s, want %s as of this gespann\n%s",
			path, info.Main.Version, own.Main.Version, howToGet)
	case !strings.Contains(","+tags+",", ",gpu,"):
		return fmt.Errorf("%s: is built without CUDA\n%s", path, howToGet)
	}
	return nil
}

// askCompanion lets the companion look at the cards.
func askCompanion(ctx context.Context, path string, only int) (*cuda.Survey, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "devices", "--json", "--device", strconv.Itoa(only))
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	err := cmd.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("%s: no answer from the driver within %v", path, patience)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && out.Len()+words.Len() == 0:
		return nil, fmt.Errorf("%s: %w", path, err)
	case err != nil:
		return nil, errors.New(cuda.Explain(strings.TrimPrefix(words.String()+out.String(), "gespann: ")))
	}
	survey := new(cuda.Survey)
	if err := json.Unmarshal(out.Bytes(), survey); err != nil {
		return nil, fmt.Errorf("%s devices: %w", path, err)
	}
	return survey, nil
}
