package cluster

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain checks after all tests that no goroutine of this package is left.
func TestMain(m *testing.M) {
	code := m.Run()
	for begin := time.Now(); code == 0; time.Sleep(time.Millisecond) {
		left := running()
		if left == "" {
			break
		}
		if time.Since(begin) > 5*time.Second {
			fmt.Println("goroutines are left:\n" + left)
			code = 1
		}
	}
	os.Exit(code)
}

// running returns the goroutines of this package, except for the one that asks.
func running() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var left []string
	for i, stack := range strings.Split(string(stacks), "\n\n") {
		if i > 0 && strings.Contains(stack, "backend/cluster.") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}
