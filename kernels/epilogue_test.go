package kernels_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/gespann/gespann/backend/backendtest"
	"github.com/gespann/gespann/backend/cuda/plan"
	"github.com/gespann/gespann/backend/ir"
	"github.com/gespann/gespann/internal/numtest"
)

// TestEpilogue applies epilogues to products that were computed by other means.
func TestEpilogue(t *testing.T) {
	const m, n, k = 5, 7, 3
	d := start(t)
	defer d.Close()
	for _, a := range []ir.Attrs{
		{Bias: true}, {Bias: true, Act: ir.ReLU}, {Act: ir.LeakyReLU, Alpha: 0.25},
		{GradAct: true, Act: ir.Tanh}, {Bias: true, GradAct: true, Act: ir.ReLU}, {},
	} {
		b := backendtest.NewBuilder(t, "product", 1, nil)
		in := []ir.Slot{b.Input("a", ir.Float, m, k), b.Input("b", ir.Float, k, n)}
		if a.Bias {
			in = append(in, b.Input("bias", ir.Float, n))
		}
		if a.GradAct {
			in = append(in, b.Input("ref", ir.Float, m, n))
		}
		b.Name(b.Do(ir.MatMul, a, in...)[0], "y")
		p, err := plan.Build(b.Done(), plan.Options{})
		if err != nil {
			t.Fatal(err)
		}
		product := p.Launches[0].Product
		if product == nil || product.M != m || product.N != n || product.K != k {
			t.Fatalf("the product is %+v, want %dx%dx%d", product, m, n, k)
		}
		if (product.Epilogue == nil) != (a == ir.Attrs{}) {
			t.Fatalf("%+v has epilogue %v", a, product.Epilogue)
		}
		if product.Epilogue == nil {
			continue
		}
		if err := d.Alloc(p.ArenaBytes); err != nil {
			t.Fatal(err)
		}
		address := func(r plan.Ref) int64 { return r.Offset }
		values := map[string][]float32{}
		r := rand.New(rand.NewPCG(3, 4))
		for i, v := range p.Program.Values {
			for range v.Size() {
				values[v.Name] = append(values[v.Name], float32(r.NormFloat64()))
			}
			raw, _ := binary.Append(nil, binary.LittleEndian, values[v.Name])
			d.Write(address(p.Values[i]), raw)
		}
		if err := d.Launch(*product.Epilogue, address); err != nil {
			t.Fatal(err)
		}
		raw := make([]byte, m*n*4)
		if err := d.Read(address(product.Y), raw); err != nil {
			t.Fatal(err)
		}
		got, want := make([]float32, m*n), make([]float64, m*n)
		binary.Decode(raw, binary.LittleEndian, got)
		for i := range want {
			want[i] = epilogue(a, values, i, n)
		}
		numtest.Close(t, got, want, numtest.Tol{Rel: 1e-6, Abs: 1e-6, Why: "two roundings"})
	}
}

// epilogue returns element i of the result, for the activations used here.
func epilogue(a ir.Attrs, values map[string][]float32, i, n int) float64 {
	y := float64(values["y"][i])
	if a.Bias {
		y += float64(values["bias"][i%n])
	}
	if a.GradAct {
		r := float64(values["ref"][i])
		switch {
		case a.Act == ir.Tanh:
			return y * (1 - r*r)
		case r <= 0:
			return 0
		}
		return y
	}
	if y < 0 && a.Act != ir.NoAct {
		return a.Alpha * y
	}
	return y
}
