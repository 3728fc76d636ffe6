package cpu

import (
	"fmt"
	"testing"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cpu/gemm"
	"github.com/gespann/gespann/backend/host"
)

// TestOps runs the suite on one thread and, with pools that may have more
// threads than processors, on three.
func TestOps(t *testing.T) {
	for _, threads := range []int{3, 1} {
		if threads == 1 && testing.Short() {
			continue
		}
		t.Run(fmt.Sprint("threads", threads), func(t *testing.T) {
			backendtest.Ops(t, func(*testing.T) host.Executor { return New(threads) })
		})
	}
}

// TestOpsBF16 runs the suite in precision bf16, on the fastest kernels and on those in Go.
func TestOpsBF16(t *testing.T) {
	for _, kit := range []gemm.Kit{{}, gemm.Portable()} {
		if kit != (gemm.Kit{}) && testing.Short() {
			continue
		}
		t.Run(kit.Name(), func(t *testing.T) {
			backendtest.OpsBF16(t, func(*testing.T) host.Executor { return newExecutor(3, kit, true) })
		})
	}
}

func TestSession(t *testing.T) { backendtest.Session(t, cpu{}) }

func TestReplica(t *testing.T) { backendtest.Replica(t, "cpu") }

func TestShards(t *testing.T) { backendtest.Shards(t, cpu{}) }
