package server

import (
	"context"
	"testing"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/disttest"
	"github.com/gespann/gespann/dist/wire"
)

// TestStranger sends every kind of message, empty and with tensors and bytes, as
// the first message of a worker, driver and client, and after the usual first
// ones. The coordinator refuses or ignores them, and goes on.
func TestStranger(t *testing.T) {
	job := testJob("a", "sync")
	attach := func(strategy string) wire.Message {
		j := job
		j.Strategy = strategy
		return &wire.Attach{Protocol: wire.Protocol, Job: j}
	}
	s := start(t, Options{State: t.TempDir(), RunJob: newStage().run})
	hire(t, s, 1)
	for name, c := range map[string]struct {
		serve func(context.Context, dist.Conn, dist.Principal) error
		first []wire.Message
	}{
		"worker":          {s.Worker, nil},
		"driver":          {s.Driver, nil},
		"client":          {s.Client, nil},
		"a worker":        {s.Worker, []wire.Message{hello("stranger")}},
		"a client":        {s.Client, []wire.Message{&wire.Visit{Protocol: wire.Protocol}}},
		"a sync driver":   {s.Driver, []wire.Message{attach("sync")}},
		"an async driver": {s.Driver, []wire.Message{attach("downpour")}},
		"an ensemble":     {s.Driver, []wire.Message{attach("ensemble"), &wire.Restore{}, &wire.Train{}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, kind := range wire.Kinds() {
				for _, f := range []wire.Frame{
					{Message: wire.New(kind)},
					{Message: wire.New(kind), Floats: make([]float32, 13)},
					{Message: wire.New(kind), Bytes: make([]byte, 13)},
				} {
					tease(t, c.serve, c.first, f)
				}
			}
			visitor(t, s).List()
		})
	}
	c := visitor(t, s)
	for range 200 { // what strangers have submitted, and left attached
		all, err := c.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range all {
			if !wire.Ended(j.State) {
				c.Cancel(j.ID)
			}
		}
	}
	p := party{t, dial(t, "driver", s.Driver)}
	job.ID = "honest"
	drive(p, job, 1)
}

// tease sends frames over a connection, reads a little of what comes, and leaves.
func tease(t *testing.T, serve func(context.Context, dist.Conn, dist.Principal) error, first []wire.Message, f wire.Frame) {
	a, b := disttest.Pipe("stranger", "coordinator")
	a.Allow(1 << 20)
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(context.Background(), b, dist.Principal{Roles: dist.AllRoles})
	}()
	for _, m := range first {
		a.Send(wire.Frame{Message: m})
	}
	if len(first) > 0 {
		a.Recv()
	}
	a.Send(f)
	a.Send(f)
	a.Close()
	<-done
}
