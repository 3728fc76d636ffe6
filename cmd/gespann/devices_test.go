package main

import (
	"strings"
	"testing"

	"github.com/gespann/gespann/backend/cuda"
)

// TestPrintSurvey compares the lines about cards with those that are wanted.
func TestPrintSurvey(t *testing.T) {
	survey := &cuda.Survey{Version: 12040, Cards: []cuda.Card{
		{Name: "T4", MemoryBytes: 16 << 30, Major: 7, Minor: 5, Multiprocessors: 40},
		{Index: 1, Name: "K80", MemoryBytes: 12 << 30, Major: 3, Minor: 7, Multiprocessors: 13, Unusable: "old"},
	}}
	want := `gpu 0  T4, 16.0 GiB, compute capability 7.5, 40 multiprocessors
gpu 1  K80, 12.0 GiB, compute capability 3.7, 13 multiprocessors: old
driver CUDA 12.4, through x
`
	for library, more := range map[string]string{
		"":                                  "",
		"libcublasLt.so.12, version 120805": "blas   for large products in tf32 and bf16: libcublasLt.so.12, version 120805\n",
	} {
		survey.Library = library
		var got strings.Builder
		printSurvey(&got, survey, ", through x")
		if got.String() != want+more {
			t.Errorf("library %q: got\n%s\nwant\n%s", library, &got, want+more)
		}
	}
}
