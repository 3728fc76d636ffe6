package rpc

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"
)

// TestOtherProtocol dials a coordinator of an earlier version: that is final, and said in
// its words.
func TestOtherProtocol(t *testing.T) {
	noLeak(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.InTapHandle(func(_ context.Context, info *tap.Info) (context.Context, error) {
		return nil, refuse("protocol %q: this one speaks 2\nhint: use the same version of gespann everywhere", one(info.Header, keyProtocol))
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(l)
	}()
	defer func() {
		s.Stop()
		<-done
	}()
	_, err = Dial(t.Context(), l.Addr().String(), Worker, Trust{})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), `refused protocol "3": this one speaks 2`) {
		t.Errorf("got %v, want that it is refused for ever", err)
	}
}
