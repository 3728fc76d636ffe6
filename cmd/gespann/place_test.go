//go:build !gpu

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/cuda"
	"github.com/gespann/gespann/model/spec"
)

// script writes a program that prints and exits.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), companion)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAskCompanion(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"no driver": {"echo 'gespann-cuda: error while loading shared libraries: libcuda.so.1: cannot open' >&2; exit 127",
			"no NVIDIA driver on this machine (libcuda.so.1 is missing)"},
		"no card": {`echo 'Error in initialization, please refer to "https://x" for details on: NoDevice'; exit 1`,
			"the driver finds no NVIDIA card"},
		"old driver": {`echo 'Error in initialization, please refer to "https://x" for details on: InvalidDevice'; exit 1`,
			"the driver does not start: CUDA_ERROR_INVALID_DEVICE"},
		"other words": {"echo 'gespann: out of luck' >&2; exit 1", "the driver does not start: out of luck"},
		"killed":      {"kill -9 $$", "signal: killed"},
		"no JSON":     {"echo hello", "devices: invalid character 'h'"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := askCompanion(t.Context(), script(t, c.body), 0)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	path := script(t, `echo '{"driver":12040,"cards":[{"name":"T4","major":7,"minor":5},{"index":1,"name":"K80","unusable":"old"}]}'`)
	survey, err := askCompanion(t.Context(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := survey.Driver(); got != "12.4" {
		t.Errorf("driver is %s, want 12.4", got)
	}
	for i, want := range map[int]string{
		0: "", 1: "card 1, K80: old", 2: "no card 2: this machine has card 0 to 1", -1: "no card -1: this machine has card 0 to 1",
	} {
		if _, err := survey.Card(i); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("card %d: got %v, want %q", i, err, want)
		}
	}
}

func TestSameSource(t *testing.T) {
	info := func(path, version, tags string) *debug.BuildInfo {
		return &debug.BuildInfo{
			Main:     debug.Module{Path: path, Version: version},
			Settings: []debug.BuildSetting{{Key: "-tags", Value: tags}},
		}
	}
	own := info("m", "v1.2.3", "")
	for _, c := range []struct {
		other *debug.BuildInfo
		want  string
	}{
		{info("m", "v1.2.3", "gpu"), ""},
		{info("m", "v1.2.3", "noasm,gpu"), ""},
		{info("m", devel, "gpu"), ""},
		{info("m", "v1.2.4", "gpu"), "p: is version v1.2.4, want v1.2.3"},
		{info("m", "v1.2.3", ""), "p: is built without CUDA"},
		{info("m", "v1.2.3", "nogpu"), "p: is built without CUDA"},
		{info("x", "v1.2.3", "gpu"), "p: is built from x, not from m"},
	} {
		err := sameSource("p", c.other, own)
		if err == nil && c.want != "" || err != nil && (c.want == "" || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%+v: got %v, want %q", c.other, err, c.want)
		}
	}
}

// TestQuietPlace checks that who uses a run of a cluster here reads nothing of backends,
// and who has asked for auto does.
func TestQuietPlace(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for kind, want := range map[string]string{kindCluster: "", kindAuto: "backend auto: cpu: "} {
		var words bytes.Buffer
		s := &spec.Spec{Backend: spec.Backend{Kind: kind, Precision: "fp32"}}
		if err := placeHere(t.Context(), terminal{err: &words}, s); err != nil {
			t.Fatal(err)
		}
		if usedKind(s) != kindCPU || !strings.HasPrefix(words.String(), want) || want == "" && words.Len() > 0 {
			t.Errorf("%s: on %s, got %q, want %q", kind, usedKind(s), words.String(), want)
		}
	}
}

// TestWithoutCompanion checks what a machine without a card and without
// gespann-cuda says.
func TestWithoutCompanion(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := findCompanion(); !errors.Is(err, cuda.ErrNotBuilt) {
		t.Fatalf("got %v, want %v", err, cuda.ErrNotBuilt)
	}
	dir := writeTiny(t)
	config, runs := filepath.Join(dir, "tiny.yaml"), filepath.Join(dir, "runs")
	code, _, words := gespann(t, "", "train", config, "--runs", runs, "--backend", "gpu")
	if code != exitRun {
		t.Errorf("exit code %d, want %d", code, exitRun)
	}
	contains(t, "gpu", words, "backend gpu: this gespann is built without CUDA", cuda.HowToGet)
	if _, err := os.Stat(runs); err == nil {
		t.Error("a run directory was made")
	}
	code, out, words := gespann(t, "", "train", config, "--runs", runs, "--backend", "auto", "--epochs", "1", "--log", "plain")
	if code != exitOK {
		t.Errorf("auto: exit code %d\n%s", code, words)
	}
	contains(t, "auto", out+words, "backend auto: cpu: this gespann is built without CUDA", "epoch 1/1")
	at := "unix:" + filepath.Join(dir, "nobody")
	code, _, words = gespann(t, "", "train", config, "--runs", runs, "--backend", "auto", "--coordinator", at)
	if code != exitRun {
		t.Errorf("auto with a coordinator that is not there: exit code %d", code)
	}
	contains(t, "auto with a coordinator", words, "backend auto: cluster at "+at+": this gespann is built without CUDA",
		"hint: gespann coordinator starts one")
	code, _, words = gespann(t, "", "train", config, "--runs", runs, "--backend", "auto", "--set", "backend.precision=tf32")
	if code != exitUsage {
		t.Errorf("auto with tf32: exit code %d, want %d", code, exitUsage)
	}
	contains(t, "auto with tf32", words, "backend.precision: got tf32, but the CPU")
	contains(t, "devices", must(t, "devices"), "cpu ", "; bf16 ", "AVX512_BF16", "gpu    none: this gespann is built without CUDA")
	if code, _, words := gespann(t, "", "devices", "--json"); code != exitRun || !strings.Contains(words, "CUDA") {
		t.Errorf("devices --json: exit code %d, %s", code, words)
	}
}
