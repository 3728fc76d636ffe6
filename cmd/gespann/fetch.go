package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gespann/gespann/dist/server/client"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/outfile"
	"github.com/gespann/gespann/internal/plain"
	"github.com/gespann/gespann/internal/train"
)

func newFetch(t terminal) *cobra.Command {
	var f clientFlags
	var output string
	c := &cobra.Command{
		Use:   "fetch JOB",
		Short: "Get the run directory of a job",
		Long: `Fetch copies the run directory of a submitted job from its coordinator: spec,
metrics, checkpoints, and once the job is done the trained model. JOB is its ID, or
how that begins.

The folder must be new, empty, or one to which the same job was fetched before.

Of a job that is not done, it copies what there is, and says so; where that has no
weights yet, it fails.`,
		Example: `  gespann fetch mnist-cnn
  gespann fetch mnist-cnn-3f9a -o runs/cnn && gespann evaluate runs/cnn`,
		Args: args(1, 1, "one job"),
		RunE: func(c *cobra.Command, args []string) error {
			return f.visit(c.Context(), t, func(c *client.Client) error {
				job, err := c.Show(args[0])
				if err != nil {
					return err
				}
				dir := cmp.Or(output, filepath.Join("runs", job.ID))
				if output == "" && !filepath.IsLocal(job.ID) {
					return fmt.Errorf("job %q: no name for a folder\nhint: use --output", job.ID)
				}
				return fetch(t, c, job.ID, dir)
			})
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "", "`folder` to write to (default runs/ and the job's ID)")
	f.add(c)
	return c
}

// fetch copies the files of a job to a folder. Without weights, unless the job is
// done, that is an error.
func fetch(t terminal, c *client.Client, id, dir string) error {
	if err := ofJob(dir, id); err != nil {
		return err
	}
	weights := false
	end, err := c.Fetch(id, dir, func(path string, _ int64) {
		weights = weights || strings.HasSuffix(path, ".safetensors")
	})
	if err != nil {
		return err
	}
	job, err := c.Show(id)
	if err != nil {
		return err
	}
	saved := fmt.Sprintf("%s: %d files, %s", dir, end.Files, size(end.Bytes))
	if job.State != wire.JobDone {
		fmt.Fprintf(t.err, "job %s is not done: %s\n", id, stateWords(job))
	}
	if job.State != wire.JobDone && !weights {
		return fmt.Errorf("job %s: no weights have been saved, only %s", id, saved)
	}
	fmt.Fprintf(t.out, "saved  %s\nnext   %s evaluate %s\n", saved, self(), shellWord(dir))
	return nil
}

// jobFile has the ID of the job that was fetched to a folder.
const jobFile = "job"

// ofJob makes a folder that of a job, unless it has something else: files of two runs in one
// folder would be neither.
func ofJob(dir, id string) error {
	path := filepath.Join(dir, jobFile)
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0:
	case err != nil:
		return err
	default:
		had, err := os.ReadFile(path)
		if err == nil && strings.TrimSpace(string(had)) == id {
			return nil
		}
		what := "other files"
		if err == nil {
			what = fmt.Sprintf("the job %.80q", plain.Line(strings.TrimSpace(string(had))))
		} else if _, err := train.View(dir); err == nil {
			what = "another run"
		}
		return fmt.Errorf("%s: has %s already\nhint: -o names another folder", dir, what)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return outfile.Bytes(path, []byte(id+"\n"))
}

// stateWords is the state of a job, how far it is, and why: "failed in epoch 3 of 10:
// the loss is NaN".
func stateWords(j *wire.JobStatus) string {
	text := j.State
	if j.Epoch > 0 {
		text += fmt.Sprintf(" in epoch %d", j.Epoch)
	}
	if j.Epoch > 0 && j.Epochs > 0 {
		text += fmt.Sprintf(" of %d", j.Epochs)
	}
	if j.Position > 0 {
		text += fmt.Sprintf(" at place %d", j.Position)
	}
	if j.Reason != "" {
		text += ": " + j.Reason
	}
	return text
}
