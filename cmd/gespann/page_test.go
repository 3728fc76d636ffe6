package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestPageInUse asks for a page where someone else listens: of a coordinator that is
// told where, of one that is not, and of a run on this machine.
func TestPageInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := l.Addr().String()
	check := func(text string, want ...string) {
		t.Helper()
		for _, w := range append(want, "dashboard: "+address+" is in use", "\nhint: --dashboard localhost:8081 for another port") {
			if !strings.Contains(text, w) {
				t.Errorf("got %q, want %q in it", text, w)
			}
		}
		if strings.Contains(text, "listen tcp") || strings.Contains(text, "bind") {
			t.Errorf("got %q, want a sentence without the system's calls", text)
		}
	}

	for _, told := range []bool{true, false} {
		said := ""
		f := coordinatorFlags{dashboard: address, wantsPage: told}
		show, err := f.page("", func(format string, args ...any) { said += fmt.Sprintf(format, args...) })
		if err != nil {
			t.Fatal(err)
		}
		err = show(t.Context(), nil)
		switch {
		case told && err == nil:
			t.Error("a page that was asked for: got nil, want an error")
		case told:
			check(err.Error(), "--dashboard none for no page")
		case err != nil:
			t.Errorf("a page that was not asked for: got %v, want nil", err)
		default:
			check(said, "in use; going on without a page\nhint: ", "--dashboard none for no page")
		}
	}

	cmd, _, stderr := command(t, writeTiny(t), "train", "tiny.yaml", "--backend", "cluster", "--workers", "1", "--dashboard", address)
	if code := exitCode(t, cmd.Run()); code != 1 {
		t.Errorf("train: got exit code %d, want 1", code)
	}
	check(stderr.String(), "without --dashboard and cluster.dashboard there is none")
}

// TestNoSuchPage checks what is said of addresses that no page can have.
func TestNoSuchPage(t *testing.T) {
	for _, c := range []struct{ address, want string }{
		{"192.0.2.1:0", "dashboard: 192.0.2.1:0 is not an address of this machine"},
		{"localhost:99999", "dashboard: localhost:99999: "},
	} {
		show, err := pageOf(c.address, func(string, ...any) {})
		if err != nil {
			t.Fatal(err)
		}
		if err := show(t.Context(), nil); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "listen") {
			t.Errorf("%s: got %v, want %q in it", c.address, err, c.want)
		}
	}
}
