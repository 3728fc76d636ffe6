package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gespann/gespann/model/spec"
)

// A notRunError is a file in the place of a run that is neither a checkpoint nor the
// remains of one.
type notRunError struct{ path string }

func (e *notRunError) Error() string {
	switch ext := strings.ToLower(filepath.Ext(e.path)); ext {
	case ".yaml", ".yml":
		return fmt.Sprintf("%s: a configuration, want a run\nhint: its run is a directory such as %s", e.path, runFor(e.path))
	case "":
		return fmt.Sprintf("%s: neither a run directory nor a checkpoint", e.path)
	default:
		return fmt.Sprintf("%s: a %s file, want a run directory or a checkpoint", e.path, ext)
	}
}

// runFor returns the directory that the first run of a configuration file has.
func runFor(config string) string {
	dir, name := "runs", strings.TrimSuffix(filepath.Base(config), filepath.Ext(config))
	if s, err := spec.Load(config, spec.Options{}); err == nil && s.Locate() == nil {
		dir, name = s.Train.Dir, cmp.Or(s.Train.Name, s.RunName())
	}
	return filepath.Join(dir, name)
}

// swapped explains an error of the run of predict where the second argument is the run.
func swapped(err error, args []string) error {
	var not *notRunError
	if len(args) < 2 || !errors.As(err, &not) {
		return err
	}
	if _, other := weightsOf(args[1]); other != nil {
		return err
	}
	if info, other := os.Stat(args[1]); other != nil || !info.IsDir() && filepath.Ext(args[1]) != ".safetensors" {
		return err
	}
	return usagef("%s: got a file, want a run: RUN comes first\nhint: %s predict %s %s",
		args[0], self(), shellWord(args[1]), shellWord(args[0]))
}
