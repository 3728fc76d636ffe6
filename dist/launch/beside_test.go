package launch

import (
	"os"
	"strings"
	"testing"
)

// TestBeside checks who drives, with how many workers, and what is refused.
func TestBeside(t *testing.T) {
	for name, test := range map[string]struct {
		env     map[string]string
		workers int    // that a team has when nobody says
		want    string // error of a team of two
	}{
		"rank 0 of three": {map[string]string{"RANK": "0", "WORLD_SIZE": "3"}, 2, ""},
		"rank 0 of two":   {map[string]string{"RANK": "0", "WORLD_SIZE": "2"}, 1, "has started 1 processes beside this one, but the run wants 2 workers\nhint: --workers 1"},
		"alone":           {map[string]string{"RANK": "0", "WORLD_SIZE": "1"}, 0, "torchrun has started this process alone"},
		"rank 1":          {map[string]string{"RANK": "1", "WORLD_SIZE": "3"}, 2, "this process is rank 1 of torchrun, but rank 0 drives"},
		"a Job":           {map[string]string{"JOB_COMPLETION_INDEX": "0"}, 0, ""},
		"none":            {nil, 0, "no variable of the environment tells of one"},
		"odd":             {map[string]string{"RANK": "x", "WORLD_SIZE": "3"}, 0, "RANK: got \"x\""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, e := range engines {
				t.Setenv(e.rank, "") // so that it is there again after the test
				unset(t, e.rank)
			}
			for key, value := range test.env {
				t.Setenv(key, value)
			}
			l, err := For(Beside)
			if err == nil {
				if got := l.Workers(); got != test.workers {
					t.Errorf("got %d workers, want %d", got, test.workers)
				}
				asked := Team{Workers: 2, Say: t.Logf, Invite: func(string) (*Invitation, error) {
					return &Invitation{Coordinator: "here"}, nil
				}}
				var crew Crew
				if crew, err = l.Launch(t.Context(), asked); err == nil {
					select {
					case <-crew.Failed():
						t.Error("the crew has failed")
					default:
					}
					err = crew.Close()
				}
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := For("place:x"); err == nil || !strings.Contains(err.Error(), "want place alone") {
		t.Errorf("place:x: got %v", err)
	}
}

// unset removes a variable until the end of a test that has set it by t.Setenv.
func unset(t *testing.T, key string) {
	t.Helper()
	if err := os.Unsetenv(key); err != nil {
		t.Fatal(err)
	}
}
