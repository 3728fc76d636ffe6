package main

import "testing"

// TestJoinAt checks which address the page tells people to join at.
func TestJoinAt(t *testing.T) {
	for _, c := range []struct{ told, at, want string }{
		{":7077", "[::]:7077", ":7077"},
		{"localhost:7077", "127.0.0.1:7077", "localhost:7077"},
		{"localhost:0", "127.0.0.1:40123", "localhost:40123"},
		{"unix:/run/c", "unix:/run/c", "unix:/run/c"},
	} {
		if got := joinAt(c.told, c.at); got != c.want {
			t.Errorf("joinAt(%s, %s): got %s, want %s", c.told, c.at, got, c.want)
		}
	}
}
