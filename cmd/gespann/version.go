package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/backend/cpu"
)

func newVersion(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it runs on",
		Args:  args(0, 0, "none"),
		RunE:  func(*cobra.Command, []string) error { return printVersion(t) },
	}
}

func printVersion(t terminal) error {
	fmt.Fprintf(t.out, "gespann   %s\n", moduleVersion())
	if commit := buildCommit(); commit != "" {
		fmt.Fprintf(t.out, "commit    %s\n", commit)
	}
	fmt.Fprintf(t.out, "go        %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(t.out, "cpu       %s kernels, %d threads\n", cpu.Kernels(), runtime.GOMAXPROCS(0))
	fmt.Fprintf(t.out, "backends  %s\n", strings.Join(backend.Names(), ", "))
	return nil
}

// version is what a build may say with -ldflags "-X main.version=v1.2.3".
var version string

// moduleVersion returns the version of the program: what its build said, else
// that of the module, "(devel)" when built from a working tree.
func moduleVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// buildCommit returns the commit that was built, and whether files had changed.
func buildCommit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	var commit, changed string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = ", with changes"
		}
	}
	if commit == "" {
		return ""
	}
	return commit + changed
}
