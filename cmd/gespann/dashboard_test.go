//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestRunOnItsPage trains on workers of this machine with a page, and checks that page,
// API and metrics know how far the run is and what is left.
func TestRunOnItsPage(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir := writeTiny(t)
	cmd, _, _ := command(t, dir, "train", "tiny.yaml", "--backend", "cluster", "--workers", "2", "--epochs", "100000",
		"--dashboard", "localhost:0", "--log", "plain")
	words, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer words.Close()
	cmd.Stderr = words
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGINT)
		<-ended
	})
	page := ""
	waitFor(t, "the page", func() bool {
		text, err := os.ReadFile(words.Name())
		if err != nil {
			t.Fatal(err)
		}
		page = regexp.MustCompile(`http://\S+`).FindString(string(text))
		return page != ""
	})
	get := func(path string) string {
		answer, err := http.Get(page + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	type status struct {
		ID       string  `json:"id"`
		Epochs   int     `json:"epochs"`
		Progress float64 `json:"progress"`
		Left     float64 `json:"left_seconds"`
		Took     float64 `json:"took_seconds"`
	}
	var j status
	waitFor(t, "progress", func() bool {
		var all struct {
			Jobs []status `json:"jobs"`
		}
		if err := json.Unmarshal([]byte(get("/api/v1/jobs")), &all); err != nil {
			t.Fatal(err)
		}
		if len(all.Jobs) == 1 {
			j = all.Jobs[0]
		}
		return j.Progress > 0 && j.Left > 0
	})
	if j.Epochs != 100000 || j.Progress >= 1 || j.Took <= 0 {
		t.Errorf("got %+v, want a part of 100000 epochs", j)
	}
	metric := regexp.MustCompile(`gespann_job_progress_ratio\{job_id="` + j.ID + `"\} (\S+)`).FindStringSubmatch(get("/metrics"))
	if metric == nil || metric[1] == "0" {
		t.Errorf("metrics: got progress %v", metric)
	}
	if text := get("/"); !strings.Contains(text, "<dt>Time left</dt>") || !strings.Contains(text, "of 100,000") {
		t.Errorf("the page lacks the time left, or the epochs:\n%s", text)
	}
}
