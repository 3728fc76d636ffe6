//go:build unix

package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gespann/gespann/backend"
	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/plain"
	"github.com/gespann/gespann/internal/train"
)

// evil is a name that clears the screen, colours it, turns words around, and tries to be
// lines and cells of its own.
const evil = "n\x1b[2J\u009b31m\u202eeman\nforged\trow\r\x7f\u2028"

// hostile is a coordinator that says such things wherever it can.
func hostile(t *testing.T) (at string) {
	t.Helper()
	port, err := rpc.Listen(rpc.Options{Listen: "unix:" + filepath.Join(socketDir(t), "c")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	job := wire.JobStatus{ID: evil, Name: evil, State: evil, Reason: evil, Data: evil, Submitted: true, Created: time.Now()}
	ended := job
	ended.State = wire.JobDone
	go func() {
		done <- port.Serve(ctx, rpc.Handler{Client: func(_ context.Context, conn dist.Conn, _ dist.Principal) error {
			conn.Allow(wire.MaxSpec)
			for {
				f, err := conn.Recv()
				if err != nil {
					return err
				}
				answer := wire.Frame{}
				switch f.Message.(type) {
				case *wire.Visit:
					answer.Message = &wire.Visited{Version: evil}
				case *wire.List:
					answer.Message = &wire.Listed{Jobs: []wire.JobStatus{job, ended}, Last: true}
				case *wire.Show:
					answer.Message = &wire.Shown{Job: job}
				case *wire.Logs:
					text := []byte("12:00 " + evil + "\n世")
					for _, b := range text { // characters come in pieces
						if err := conn.Send(wire.Frame{Message: &wire.Log{}, Bytes: []byte{b}}); err != nil {
							return err
						}
					}
					answer.Message = &wire.Log{Last: true}
				case *wire.Submit:
					answer.Message = &wire.Submitted{Job: evil, Position: 1, Note: evil, Data: evil}
				case *wire.CancelJob:
					answer.Message = &wire.Cancelled{Job: evil, State: wire.JobCancelled, Note: evil}
				case *wire.Prune:
					answer.Message = &wire.Pruned{Jobs: []string{evil}}
				default:
					answer.Message = &wire.Refused{Err: evil}
				}
				if err := conn.Send(answer); err != nil {
					return err
				}
			}
		}})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return port.Addr()
}

// TestHostileCoordinator checks that nothing which a coordinator says reaches the terminal
// raw, and that a name is no line.
func TestHostileCoordinator(t *testing.T) {
	at := hostile(t)
	config := filepath.Join(writeTiny(t), "tiny.yaml")
	for _, args := range [][]string{
		{"jobs"}, {"jobs", "--prune", "1"}, {"logs", "x"}, {"submit", config}, {"cancel", "x"},
		{"fetch", "x", "-o", t.TempDir()},
	} {
		_, out, err := gespann(t, "", append(args, "--coordinator", at)...)
		for _, text := range []string{out, err} {
			if plain.Text(text) != text {
				t.Errorf("gespann %s: got raw %q", strings.Join(args, " "), text)
			}
			if args[0] != "logs" && args[0] != "fetch" && args[0] != "cancel" && strings.Contains(text, "\nforged") {
				t.Errorf("gespann %s: a line was forged: %q", strings.Join(args, " "), text)
			}
		}
		if !strings.Contains(out+err, `n\u001b[2J`) {
			t.Errorf("gespann %s: got %q %q, want the words escaped", strings.Join(args, " "), out, err)
		}
		if args[0] == "logs" && !strings.Contains(out, "\n世") {
			t.Errorf("logs: got %q, want characters that came in pieces whole", out)
		}
	}
}

// TestHostileNames checks what is shown of a run's workers and classes.
func TestHostileNames(t *testing.T) {
	account := backend.Account{Strategy: "sync", Rows: 10, Seconds: 1, Workers: []backend.WorkerAccount{
		{Name: evil, Backend: evil, Rows: 10, Lost: true, Why: evil}, {Name: "b", Backend: "cpu"},
	}}
	for name, text := range map[string]string{
		"bill": bill(account), "confusion": confusion([]float64{1, 2, 3, 4}, []string{evil, "b"}),
		"pairs": confusedPairs([]float64{1, 2, 3, 4}, []string{evil, "b"}),
		"note":  noted(train.Note{Text: evil}),
	} {
		if strings.Contains(text, "\nforged") || strings.Contains(text, "forged\trow") && name != "note" {
			t.Errorf("%s: got %q, want one line and cell", name, text)
		}
	}
	var live strings.Builder
	l := &liveLog{out: &live, width: func() int { return 80 }}
	l.event(train.Note{Text: evil})
	l.event(train.Bill{Account: account})
	if text := live.String(); plain.Text(text) != text {
		t.Errorf("live: got raw %q", text)
	}
	out := new(strings.Builder)
	jsonLog(plain.NewWriter(out))(train.Note{Text: evil + " fits \u2067x"})
	if text := out.String(); plain.Text(text) != text {
		t.Errorf("json: got raw %q", text)
	}
}
