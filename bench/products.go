package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gespann/gespann/backend/cpu"
	"github.com/gespann/gespann/backend/cpu/gemm"
	"github.com/gespann/gespann/backend/cpu/pool"
	"github.com/gespann/gespann/backend/host"
)

// A product is a matrix product as training has them: y = x·w, and the gradients
// dx = dy·wᵀ and dw = xᵀ·dy.
type product struct {
	m, n, k        int
	transA, transB bool
}

// trainingProducts are the products of a step of a layer of each size.
func trainingProducts() []product {
	var all []product
	for _, layer := range [][3]int{ // rows, inputs, outputs
		{128, 784, 512}, {128, 512, 512}, {128, 1000, 2000}, {256, 500, 500}, {512, 512, 512},
	} {
		b, in, out := layer[0], layer[1], layer[2]
		all = append(all, product{b, out, in, false, false}, product{b, in, out, false, true},
			product{in, out, b, true, false})
	}
	return all
}

func (p product) String() string {
	a, b := "A", "B"
	if p.transA {
		a = "Aᵀ"
	}
	if p.transB {
		b = "Bᵀ"
	}
	return fmt.Sprintf("%s·%s, m %d, n %d, k %d", a, b, p.m, p.n, p.k)
}

func (p product) flops() float64 { return 2 * float64(p.m) * float64(p.n) * float64(p.k) }

// raceProducts times products in turns with plain multiply-adds on as many threads,
// and reports the share of these that they reach.
func raceProducts(o *options) error {
	peak, flops := multiplyAdds()
	if peak == nil {
		return fmt.Errorf("-products: there is no measured peak for the kernels of this machine")
	}
	threads := pool.New(o.threads)
	defer threads.Close()
	before := measureLoad(o.threads)
	var b strings.Builder
	b.WriteString("| product | GF/s | share of the peak |\n|---|---|---|\n")
	for _, p := range trainingProducts() {
		plan := gemm.NewMatMul(threads, p.m, p.n, p.k, p.transA, p.transB)
		a, bb, c := written(p.m*p.k), written(p.k*p.n), written(p.m*p.n)
		var shares, rates []float64
		for range o.rounds {
			top := flops * rate64(o.ms/4, 1<<20, func(n int) { onThreads(o.threads, func() { peak(n) }) }) * float64(o.threads)
			got := p.flops() * rate64(o.ms/4, 1, func(n int) {
				for range n {
					plan.Run(c, a, bb, nil)
				}
			})
			shares, rates = append(shares, got/top), append(rates, got)
		}
		slices.Sort(shares)
		slices.Sort(rates)
		fmt.Fprintf(&b, "| %v | %.0f | %.2f |\n", p, quantile(rates, 0.5)/1e9, quantile(shares, 0.5))
	}
	fmt.Fprintf(&b, "\n%s, %d threads (%s kernels), %s, %s; medians of %d turns. Load before: %v; after: %v.\n",
		processor(), o.threads, cpu.Kernels(), runtime.Version(), time.Now().Format(time.DateOnly), o.rounds,
		before, measureLoad(o.threads))
	fmt.Fprint(os.Stdout, b.String())
	if o.write == "" {
		return nil
	}
	return replaceTable(o.write, fmt.Sprintf("products on %d threads, %s", o.threads, cpu.Kernels()), b.String())
}

// written returns memory with numbers in it: memory that nobody has written is one
// page of zeros, however long, and roots and quotients of zeros are quick.
func written(n int) []float32 {
	x, r := host.Alloc(n), rand.New(rand.NewPCG(seed, uint64(n)))
	for i := range x {
		x[i] = r.Float32()
	}
	return x
}

// rate64 calls f with n for so many milliseconds, and returns n per second.
func rate64(ms float64, n int, f func(n int)) float64 {
	f(n)
	done, start := 0, time.Now()
	for time.Since(start).Seconds()*1e3 < ms {
		f(n)
		done += n
	}
	return float64(done) / time.Since(start).Seconds()
}

// onThreads runs f on so many threads at the same time.
func onThreads(threads int, f func()) {
	var wait sync.WaitGroup
	for range threads - 1 {
		wait.Go(f)
	}
	f()
	wait.Wait()
}
