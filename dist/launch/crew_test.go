//go:build unix

package launch

import (
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPause checks that a worker which was killed after it had lived for long is started again
// at once, and one that does not stay is not.
func TestPause(t *testing.T) {
	for _, c := range []struct {
		remote      bool
		lived, want time.Duration
	}{
		{false, stayTime, 0},
		{false, stayTime - 1, restartWait},
		{true, stayTime, restartWait}, // what reaches others is slow to notice that they are back
	} {
		one := &child{Member: Member{Remote: c.remote}}
		if got := one.pause(c.lived, restartWait); got != c.want {
			t.Errorf("remote %v, after %v: got %v, want %v", c.remote, c.lived, got, c.want)
		}
	}
}

// TestWords checks that what a member says goes where it is wanted, and is kept for its end.
func TestWords(t *testing.T) {
	var words syncedBuffer
	crew := Keep([]Member{{Name: "w", Words: &words, Command: func() *exec.Cmd {
		return exec.Command("sh", "-c", "echo hello >&2; exit 7")
	}}}, func(string, ...any) {})
	select {
	case <-crew.Failed():
	case <-time.After(time.Minute):
		t.Fatal("it does not give up")
	}
	if err := crew.Err(); !strings.Contains(err.Error(), "its last words:\nhello") {
		t.Errorf("got %v, want its last words", err)
	}
	if got, want := words.String(), strings.Repeat("hello\n", maxRestarts+1); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	crew.Close()
}

// A syncedBuffer is written to by one process after the other.
type syncedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
