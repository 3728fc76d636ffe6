package lane

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair returns both ends of a lane, each with memory mapped for itself, as in two
// processes.
func pair(t testing.TB) (a, b *Lane) {
	t.Helper()
	a, f, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err = Open(os.Getpid(), int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func noise(n int, seed uint64) []byte {
	r, b := rand.NewChaCha8([32]byte{byte(seed)}), make([]byte, n)
	r.Read(b)
	return b
}

// TestBytes sends both ways at once, in pieces of any size, several times around.
func TestBytes(t *testing.T) {
	a, b := pair(t)
	const n = 5*Room + 4321
	var wg sync.WaitGroup
	for i, l := range []*Lane{a, b} {
		all, want := noise(n, uint64(i)), noise(n, uint64(1-i))
		r := rand.New(rand.NewPCG(7, uint64(i)))
		sizes := func() int { return r.IntN(1 + []int{10, 5000, Room, 2 * Room}[r.IntN(4)]) }
		var cuts [2][]int
		for side := range cuts {
			for left := n; left > 0; {
				k := min(left, sizes())
				cuts[side], left = append(cuts[side], k), left-k
			}
		}
		wg.Go(func() {
			for rest := all; len(cuts[0]) > 0; cuts[0] = cuts[0][1:] {
				if err := l.Send(rest[:cuts[0][0]]); err != nil {
					t.Error(err)
				}
				rest = rest[cuts[0][0]:]
			}
		})
		wg.Go(func() {
			got := make([]byte, n)
			for rest := got; len(cuts[1]) > 0; cuts[1] = cuts[1][1:] {
				if err := l.Recv(rest[:cuts[1][0]]); err != nil {
					t.Error(err)
				}
				rest = rest[cuts[1][0]:]
			}
			if !bytes.Equal(got, want) {
				t.Errorf("end %d: got other bytes than were sent", i)
			}
		})
	}
	wg.Wait()
}

// TestSleep has both sides wait longer than they have patience, again and again.
func TestSleep(t *testing.T) {
	a, b := pair(t)
	const n = 2000
	done := make(chan error, 1)
	go func() {
		one := make([]byte, 1)
		for i := range n {
			if err := errors.Join(b.Recv(one), b.Send(one)); err != nil || one[0] != byte(i) {
				done <- errors.Join(err, errors.New("got another byte"))
				return
			}
		}
		done <- nil
	}()
	one := make([]byte, 1)
	for i := range n {
		one[0] = byte(i)
		if i%100 == 0 {
			time.Sleep(time.Millisecond)
		}
		if err := errors.Join(a.Send(one), a.Recv(one)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestRoom sends as much as is taken while nobody receives, and one byte more.
func TestRoom(t *testing.T) {
	a, b := pair(t)
	if err := a.Send(noise(Room, 1)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Send([]byte{1}) }()
	select {
	case err := <-done:
		t.Fatalf("Send returned %v, want that it waits", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := b.Recv(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestClose closes either end while both wait.
func TestClose(t *testing.T) {
	for _, own := range []bool{true, false} {
		a, b := pair(t)
		if err := a.Send(make([]byte, Room)); err != nil {
			t.Fatal(err)
		}
		sent, received := make(chan error, 1), make(chan error, 1)
		go func() { sent <- a.Send([]byte{1}) }()
		go func() { received <- a.Recv([]byte{1}) }()
		time.Sleep(time.Millisecond) // more often than not, they wait
		want, closes := ErrClosed, a
		if !own {
			want, closes = io.ErrUnexpectedEOF, b
		}
		closes.Close()
		closes.Close()
		for _, c := range []chan error{sent, received} {
			if err := <-c; !errors.Is(err, want) {
				t.Errorf("closed by itself %v: got %v, want %v", own, err, want)
			}
		}
	}
}

// TestCloseSent checks that what was sent comes, though its sender has closed.
func TestCloseSent(t *testing.T) {
	a, b := pair(t)
	want := noise(Room, 3)
	if err := a.Send(want); err != nil {
		t.Fatal(err)
	}
	a.Close()
	got := make([]byte, Room)
	if err := b.Recv(got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got other bytes, or %v", err)
	}
	if err := b.Recv(got[:1]); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want io.ErrUnexpectedEOF", err)
	}
}

// TestOpen offers what is no lane.
func TestOpen(t *testing.T) {
	plain, err := os.Create(filepath.Join(t.TempDir(), "plain"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if err := plain.Truncate(size); err != nil {
		t.Fatal(err)
	}
	unsealed := memory(t, size, 0)
	small := memory(t, size/2, seals)
	for name, fd := range map[string]int{"plain file": int(plain.Fd()), "memory that can shrink": unsealed,
		"too little memory": small, "no file": 1 << 20} {
		if l, err := Open(os.Getpid(), fd); err == nil {
			l.Close()
			t.Errorf("%s: got a lane", name)
		}
	}
}

func memory(t *testing.T, size int64, seals int) int {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Ftruncate(fd, size); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		t.Fatal(err)
	}
	return fd
}

// FuzzTorn has the other process write anything into what the sides tell each
// other. Send and Recv end, and touch nothing else.
func FuzzTorn(f *testing.F) {
	f.Add(uint32(Room+1), uint32(0), uint32(9), uint32(100))
	f.Add(uint32(5), uint32(6), uint32(0), uint32(Room+1))
	f.Fuzz(func(t *testing.T, outHead, outTail, inHead, inTail uint32) {
		a, _ := pair(t)
		a.out.head.Store(outHead)
		a.out.tail.Store(outTail)
		a.in.head.Store(inHead)
		a.in.tail.Store(inTail)
		if used := outHead - outTail; used != Room {
			if err := a.Send(make([]byte, min(100, Room-min(used, Room-1)))); (err == nil) != (used < Room) {
				t.Errorf("%d unread: Send returned %v", used, err)
			}
		}
		if unread := inHead - inTail; unread != 0 {
			if err := a.Recv(make([]byte, min(100, unread))); (err == nil) != (unread <= Room) {
				t.Errorf("%d unread: Recv returned %v", unread, err)
			}
		}
	})
}

// BenchmarkTurn measures a byte there and back, and a tensor.
func BenchmarkTurn(b *testing.B) {
	for name, n := range map[string]int{"1B": 1, "2.7MB": 2_678_784} {
		b.Run(name, func(b *testing.B) {
			x, y := pair(b)
			go func() {
				buf := make([]byte, n)
				for y.Recv(buf) == nil && y.Send(buf) == nil {
				}
			}()
			buf := make([]byte, n)
			b.SetBytes(2 * int64(n))
			for b.Loop() {
				if err := errors.Join(x.Send(buf), x.Recv(buf)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
