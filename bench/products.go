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

// slice is how long a product and the multiply-adds run before the other does, in
// milliseconds: short, so that both meet the same disturbances.
const slice = 10

// productRace is a product and what it reached in each slice.
type productRace struct {
	product
	plan          *gemm.MatMul
	a, b, c       []float32
	shares, rates []float64
}

// raceProducts times products in turns with plain multiply-adds on as many threads,
// and reports the share of these that they reach.
func raceProducts(o *options) error {
	peak, flops := multiplyAdds()
	if peak == nil {
		return fmt.Errorf("-products: there is no measured peak for the kernels of this machine")
	}
	threads := pool.New(o.threads)
	defer threads.Close()
	var races []*productRace
	for _, p := range trainingProducts() {
		races = append(races, &productRace{
			product: p, plan: gemm.NewMatMul(threads, p.m, p.n, p.k, p.transA, p.transB),
			a: written(p.m * p.k), b: written(p.k * p.n), c: written(p.m * p.n),
		})
	}
	before := measureLoad(o.threads)
	for range o.rounds {
		for _, r := range races {
			for spent := 0.0; spent < o.ms; spent += 2 * slice {
				top := flops * float64(o.threads) * rate64(slice, 1<<21, func(n int) { onThreads(o.threads, func() { peak(n) }) })
				got := r.flops() * rate64(slice, 1, r.run)
				r.shares, r.rates = append(r.shares, got/top), append(r.rates, got)
			}
		}
	}
	var b strings.Builder
	b.WriteString("| product | GF/s | share of the peak |\n|---|---|---|\n")
	for _, r := range races {
		slices.Sort(r.shares)
		slices.Sort(r.rates)
		fmt.Fprintf(&b, "| %v | %.0f | %.2f |\n", r, quantile(r.rates, 0.5)/1e9, quantile(r.shares, 0.5))
	}
	fmt.Fprintf(&b, "\n%s, %d threads (%s kernels), %s, %s; medians of %d slices of %d ms in %d turns. Load before: %v; after: %v.\n",
		processor(), o.threads, cpu.Kernels(), runtime.Version(), time.Now().Format(time.DateOnly), len(races[0].shares),
		slice, o.rounds, before, measureLoad(o.threads))
	fmt.Fprint(os.Stdout, b.String())
	if o.write == "" {
		return nil
	}
	return replaceTable(o.write, fmt.Sprintf("products on %d threads, %s", o.threads, cpu.Kernels()), b.String())
}

// run computes the product n times.
func (r *productRace) run(n int) {
	for range n {
		r.plan.Run(r.c, r.a, r.b, nil)
	}
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
