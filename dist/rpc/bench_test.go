package rpc

import (
	"context"
	"testing"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/wire"
)

// tensor is as long as the parameters of an MLP 784-512-512-10.
const tensor = 669706

// BenchmarkConn sends a tensor there and back.
func BenchmarkConn(b *testing.B) {
	for name, listen := range map[string]string{"unix": "unix:" + b.TempDir() + "/s/s", "tcp": "127.0.0.1:0"} {
		b.Run(name, func(b *testing.B) {
			s, err := Listen(Options{Listen: listen})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			go func() {
				done <- s.Serve(ctx, Handler{Worker: func(ctx context.Context, c dist.Conn, who dist.Principal) error {
					c.Allow(8 << 20)
					return echo(ctx, c, who)
				}})
			}()
			c, err := Dial(b.Context(), s.Addr(), Worker, Trust{})
			if err != nil {
				b.Fatal(err)
			}
			c.Allow(8 << 20)
			v := ramp(tensor)
			b.SetBytes(2 * 4 * tensor)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Send(wire.Frame{Message: &wire.Dismiss{}, Floats: v}); err != nil {
					b.Fatal(err)
				}
				if _, err := c.Recv(); err != nil {
					b.Fatal(err)
				}
			}
			c.Close()
			cancel()
			<-done
		})
	}
}

// BenchmarkLink has two workers send a tensor to each other at the same time.
func BenchmarkLink(b *testing.B) {
	for name, connect := range map[string]PeerOptions{"unix": {}, "tcp": {Listen: "127.0.0.1:0"}} {
		b.Run(name, func(b *testing.B) {
			here, err := NewPeers(connect)
			if err != nil {
				b.Fatal(err)
			}
			defer here.Close()
			there, err := NewPeers(connect)
			if err != nil {
				b.Fatal(err)
			}
			defer there.Close()
			addresses := there.Addresses()
			to := wire.Member{ID: "b", Peer: addresses[len(addresses)-1:], Host: there.Host()}
			out, err := here.Dial(b.Context(), dist.Generation{Self: "a"}, to)
			if err != nil {
				b.Fatal(err)
			}
			defer out.Close()
			in, err := there.Accept(b.Context(), dist.Generation{Self: "b"}, "a")
			if err != nil {
				b.Fatal(err)
			}
			defer in.Close()
			b.SetBytes(2 * 4 * tensor)
			b.ReportAllocs()
			exchange(b, out, in)
		})
	}
}

func exchange(b *testing.B, out, in dist.Link) {
	stop := make(chan bool)
	turn := make(chan bool)
	go func() {
		defer close(stop)
		v, w := wire.AsBytes(ramp(tensor)), make([]byte, 4*tensor)
		for range turn {
			if in.Send(v) != nil || in.Recv(w) != nil {
				b.Error("the link has ended")
				return
			}
		}
	}()
	v, w := wire.AsBytes(ramp(tensor)), make([]byte, 4*tensor)
	for b.Loop() {
		turn <- true
		if out.Send(v) != nil || out.Recv(w) != nil {
			b.Fatal("the link has ended")
		}
	}
	close(turn)
	<-stop
}
