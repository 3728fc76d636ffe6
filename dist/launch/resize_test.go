//go:build unix

package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// A shift is a crew of scripts that write when they begin, what they hear, and when they end.
type shift struct {
	t   *testing.T
	dir string
	mu  sync.Mutex
	say []string
}

// said returns the words of member i.
func (s *shift) said(i int) string {
	text, _ := os.ReadFile(filepath.Join(s.dir, fmt.Sprint(i)))
	return strings.ReplaceAll(string(text), "\n", " ")
}

func (s *shift) keep(n int) Resizer {
	return KeepTeam(n, func(i int) Member {
		return Member{Name: fmt.Sprintf("w%d", i), Input: []byte("hello\n"), Command: func() *exec.Cmd {
			cmd := exec.Command("sh", "-c", `echo up >>"$F"; while read word; do echo $word >>"$F"; `+
				`case $word in leave) sleep 0.1; echo gone >>"$F"; exit 0;; end) exit 0;; esac; done`)
			cmd.Env = append(os.Environ(), "F="+filepath.Join(s.dir, fmt.Sprint(i)))
			return cmd
		}}
	}, func(format string, args ...any) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.say = append(s.say, fmt.Sprintf(format, args...))
	}).(Resizer)
}

// TestResize lets a crew grow, shrink and grow again: the new are started with their input,
// the latest are told to leave and not started again, and those who stay hear nothing of it.
func TestResize(t *testing.T) {
	s := &shift{t: t, dir: t.TempDir()}
	crew := s.keep(1)
	resize := func(n int) {
		t.Helper()
		if err := Resize(crew, n); err != nil {
			t.Fatal(err)
		}
	}
	resize(3)
	for i := range 3 {
		eventually(t, fmt.Sprintf("%d is up", i), func() bool { return s.said(i) == "up hello " })
	}
	resize(3)
	resize(1)
	for i := 1; i < 3; i++ {
		eventually(t, fmt.Sprintf("%d has left", i), func() bool { return s.said(i) == "up hello leave gone " })
	}
	resize(2)
	eventually(t, "1 is back", func() bool { return s.said(1) == "up hello leave gone up hello " })
	if err := Resize(crew, 0); err == nil || !strings.Contains(err.Error(), "got 0 workers, want at least 1") {
		t.Errorf("to none: got %v", err)
	}
	crew.Close()
	for i, want := range []string{"up hello end ", "up hello leave gone up hello end ", "up hello leave gone "} {
		if got := s.said(i); got != want {
			t.Errorf("%d: got %q, want %q", i, got, want)
		}
	}
	if err := Resize(crew, 5); err == nil || !strings.Contains(err.Error(), "are ending") {
		t.Errorf("after the end: got %v", err)
	}
	if len(s.say) > 0 || crew.Err() != nil {
		t.Errorf("said %q, err %v, want nothing", s.say, crew.Err())
	}
}

// TestResizeStarting shrinks a crew whose latest is in what is to be done before its start.
func TestResizeStarting(t *testing.T) {
	begun := make(chan struct{}, 2)
	crew := KeepTeam(2, func(i int) Member {
		m := Member{Name: fmt.Sprint(i), Command: func() *exec.Cmd { return exec.Command("cat") }}
		if i == 1 {
			m.Before = func(ctx context.Context) error {
				begun <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}
		}
		return m
	}, t.Logf)
	<-begun
	if err := Resize(crew, 1); err != nil {
		t.Fatal(err)
	}
	k := crew.(*kept)
	eventually(t, "it is over", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.forget()
		return len(k.leaving) == 0
	})
	crew.Close()
	if len(begun) > 0 || crew.Err() != nil {
		t.Errorf("begun %d times more, err %v", len(begun), crew.Err())
	}
}

// TestResizeFixed checks that a crew of given members may shrink and not grow, and that one that
// cannot change is refused.
func TestResizeFixed(t *testing.T) {
	member := func() Member { return Member{Command: func() *exec.Cmd { return exec.Command("cat") }} }
	crew := Keep([]Member{member(), member()}, t.Logf)
	defer crew.Close()
	if err := Resize(crew, 3); !errors.Is(err, errFixed) {
		t.Errorf("more than there are: got %v", err)
	}
	if err := Resize(struct{ Crew }{crew}, 1); !errors.Is(err, errFixed) {
		t.Errorf("another crew: got %v", err)
	}
}
