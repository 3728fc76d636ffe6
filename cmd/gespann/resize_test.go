//go:build unix

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/backend/cluster"
	"github.com/gespann/gespann/internal/train"
	"github.com/gespann/gespann/model/spec"
)

// TestCrewChanges trains with a crew that begins before all of it is there, grows and shrinks
// on the way, and checks that no step is dropped, and that the run has the bits of one on the CPU.
func TestCrewChanges(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	t.Setenv(asProgram, "1")
	dir := writeTiny(t)
	config := filepath.Join(dir, "tiny.yaml")
	must(t, "train", config, "--runs", dir, "--name", "cpu", "--set", "train.deterministic=true", "--epochs", longEpochs, "--log", "plain")
	want, wantMetrics := tensors(t, filepath.Join(dir, "cpu"))

	text := strings.Replace(tiny, "epochs: 12,", "deterministic: true, dir: "+dir+", name: there, epochs: "+longEpochs+",", 1)
	s, err := spec.Parse(config, []byte(text+"backend: {kind: cluster}\ncluster: {workers: 3, min_workers: 1}\n"), spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log := new(safeBuffer)
	var local *cluster.LocalCluster
	b := cluster.New(cluster.Options{Start: func(ctx context.Context, threads int) (_ cluster.Local, err error) {
		local, err = cluster.StartLocal(ctx, cluster.LocalOptions{
			Workers: s.Cluster.Workers, Threads: threads, Log: slog.New(slog.NewTextHandler(log, nil)), Version: moduleVersion(),
			Command: func(i int, address string, threads int) *exec.Cmd {
				cmd := terminal{strings.NewReader(""), log, log}.childCommand(i, address, threads)
				if i == 2 { // comes late
					cmd.Args = append([]string{"sh", "-c", `sleep 3; exec "$0" "$@"`}, cmd.Args...)
					cmd.Path, cmd.Err = "/bin/sh", nil
				}
				return cmd
			},
		})
		return local, err
	}})
	o := train.Options{Spec: s, Backend: b}
	if o.Data, o.Model, err = load(t.Context(), s, nil, terminal{strings.NewReader(""), log, log}); err != nil {
		t.Fatal(err)
	}
	if o.Dir, err = train.Create(s, o.Data); err != nil {
		t.Fatal(err)
	}
	defer o.Dir.Close()

	// Each number of workers is waited for, and then another one asked for.
	sizes, seen := []int{3, 4, 1, 2}, 0
	names := strings.Fields("worker-1 worker-2 worker-3 worker-4")
	o.Events = func(e train.Event) {
		if _, ok := e.(train.EpochEnd); !ok || seen == len(sizes) {
			return
		}
		if together(log.String()) == strings.Join(names[:sizes[seen]], " ") {
			if seen++; seen < len(sizes) {
				if err := local.Resize(sizes[seen]); err != nil {
					t.Error(err)
				}
			}
		}
		if seen < len(sizes) {
			time.Sleep(100 * time.Millisecond)
		}
	}
	if _, err := train.Run(t.Context(), o); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if seen < len(sizes) {
		t.Errorf("never were %d workers together:\n%s", sizes[seen], log)
	}
	got, gotMetrics := tensors(t, filepath.Join(dir, "there"))
	if !reflect.DeepEqual(got, want) || gotMetrics != wantMetrics {
		t.Errorf("other bits than on the CPU; metrics\n%s\nwant\n%s", gotMetrics, wantMetrics)
	}
	if text := log.String(); strings.Count(text, " has left") != 3 || strings.Contains(text, "cannot go on with") {
		t.Errorf("want three workers to leave without a dropped step:\n%s", text)
	}
	if text := log.String(); strings.Contains(text[:strings.Index(text, "msg=\"group ")], "worker-3 has opened") {
		t.Errorf("the run has waited for all:\n%s", text)
	}
}

// together returns the workers of the latest group in a coordinator's log, sorted.
func together(log string) string {
	_, rest, _ := strings.Cut(log[strings.LastIndex(log, "msg=\"group "):], ": ")
	names, _, _ := strings.Cut(rest, " from step")
	all := strings.Split(names, ", ")
	slices.Sort(all)
	return strings.Join(all, " ")
}

// TestCountWorkers checks how many workers a launched run has, and that it is not to begin with
// more.
func TestCountWorkers(t *testing.T) {
	for text, want := range map[string]string{
		`launch: "ssh://a,b,c"`:                             "3 of 3",
		`launch: "ssh://a,b,c", min_workers: 2`:             "2 of 3",
		`launch: "ssh://a,b,c", workers: 5, min_workers: 5`: "5 of 5",
		`launch: "ssh://a,b,c", min_workers: 4`:             "cluster.min_workers: got 4, want at most as many as ssh://a,b,c is asked for, 3",
		`launch: "ssh://a,b,c", workers: 2, min_workers: 3`: "cluster.min_workers: got 3, want at most",
		`workers: 4, min_workers: 2`:                        "2 of 4",
	} {
		s, err := spec.Parse("x.yaml", []byte(strings.Replace(tiny, "\nmodel:", "\nbackend: {kind: cluster}\ncluster: {"+text+"}\nmodel:", 1)),
			spec.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := countWorkers(s); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprintf("%d of %d", s.Cluster.Least(), s.Cluster.Workers)
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
