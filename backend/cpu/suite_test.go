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

// lowExecutors returns constructors of executors in precision bf16: of float32, of those
// in Go, and of pairs where the processor has them.
func lowExecutors() map[string]func(threads int) *executor {
	of := func(kit gemm.Kit, pairs *gemm.Kit) func(threads int) *executor {
		return func(threads int) *executor {
			e := newExecutor(threads, kit, true)
			e.round.pairs = pairs
			return e
		}
	}
	all := map[string]func(threads int) *executor{"float32": of(gemm.Kit{}, nil), "generic": of(gemm.Portable(), nil)}
	if pairs, ok, _ := gemm.Pairs(); ok {
		all["pairs"] = of(gemm.Kit{}, &pairs)
	}
	return all
}

// TestOpsBF16 runs the suite in precision bf16.
func TestOpsBF16(t *testing.T) {
	for name, executor := range lowExecutors() {
		t.Run(name, func(t *testing.T) {
			backendtest.OpsBF16(t, func(*testing.T) host.Executor { return executor(3) })
		})
	}
}

func TestSession(t *testing.T) { backendtest.Session(t, cpu{}) }

func TestReplica(t *testing.T) { backendtest.Replica(t, "cpu") }

func TestShards(t *testing.T) { backendtest.Shards(t, cpu{}) }
