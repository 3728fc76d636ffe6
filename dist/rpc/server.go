package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc/account"
	"github.com/gespann/gespann/dist/rpc/lane"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/memlimit"
)

// Options say where and for whom a coordinator listens.
type Options struct {
	// Listen is "unix:/path", whose directory is made if need be and must be its
	// owner's alone; or "host:port", with port 0 for any.
	Listen string
	Trust
	// Memory has what connections and frames take before it is taken; nil: no end.
	Memory *memlimit.Budget
	// Log gets a line for each connection that ends with an error; nil: none.
	Log *slog.Logger
}

// A Handler has what a coordinator does with a connection. The connection ends
// when the function returns; the error, if any, is told to the other side. The
// context ends with the connection, and when the server does. A nil function
// refuses.
type Handler struct {
	Worker, Driver, Client Serving
}

// Serving serves a connection of someone.
type Serving func(context.Context, dist.Conn, dist.Principal) error

// A Server listens.
type Server struct {
	opt      Options
	limits   limits
	listener *listener
	address  string
	guard    *account.Guard // nil: nobody has to prove an account
}

// Listen opens the port. Serve or Close must follow.
func Listen(opt Options) (*Server, error) {
	return listenWithin(opt, coordinatorLimits)
}

func listenWithin(opt Options, lim limits) (*Server, error) {
	ctx := context.Background()
	if err := opt.permit(ctx, opt.Listen, "listening on"); err != nil {
		return nil, err
	}
	sweepSockets() // of workers that were killed
	guard, err := opt.guard(opt.Listen)
	if err != nil {
		return nil, err
	}
	l, err := listen(ctx, opt.Listen, lim)
	if err != nil {
		return nil, err
	}
	l.memory = opt.Memory
	address := opt.Listen
	if l.name == "" {
		address = l.Addr().String()
	}
	return &Server{opt: opt, limits: lim, listener: l, address: address, guard: guard}, nil
}

// Addr returns the address that it listens on: with the port that was chosen.
func (s *Server) Addr() string { return s.address }

// Close closes the port of a Server that will not Serve.
func (s *Server) Close() error { return s.listener.Close() }

// Serve calls h for every connection, each in a goroutine of its own, until the
// context ends; it returns when all of them have. Connections that last half a
// second longer are cut off. It returns nil when the context has ended.
func (s *Server) Serve(ctx context.Context, h Handler) error {
	roles := map[Role]Serving{Worker: h.Worker, Driver: h.Driver, Client: h.Client}
	e := &endpoint{trust: s.opt.Trust, limits: s.limits, listener: s.listener, guard: s.guard, roles: map[Role]handler{}}
	for role, f := range roles {
		if f != nil {
			e.roles[role] = s.accept(e, role, f)
		}
	}
	return e.serve(ctx)
}

// accept makes a connection of a stream, for f.
func (s *Server) accept(e *endpoint, role Role, f Serving) handler {
	return func(ctx context.Context, stream grpc.ServerStream, l *line) error {
		shared := l.takeLane(ctx)
		if err := announce(ctx, stream, shared); err != nil {
			l.closeLane(shared)
			return err
		}
		c := newConn(stream, l, shared, l.name, sources[role])
		c.memory = s.opt.Memory
		left := make(chan struct{})
		c.finish = func() { close(left) }
		defer l.endBy(s.limits.linger)
		done := make(chan error, 1)
		go func() { done <- f(ctx, c, guestOf(ctx).who) }()
		err := e.attend(c, done, left)
		if err != nil && !isEnd(err) && s.opt.Log != nil {
			s.opt.Log.Warn("connection ended", "role", string(role), "from", l.name, "err", err)
		}
		return leave(err)
	}
}

// attend waits until a connection ends: because its handler is done, or someone has
// left it.
func (e *endpoint) attend(c *conn, done <-chan error, left <-chan struct{}) error {
	first := time.NewTimer(e.first)
	defer first.Stop()
	for {
		select {
		case err := <-done:
			c.Close()
			return err
		case <-first.C:
			if !c.spoke.Load() {
				c.Close()
			}
		case <-left:
			// The stream ends when gRPC's handler returns, and Recv with it. Ours may
			// take its time.
			e.running.Go(func() { <-done })
			return c.reason
		}
	}
}

// sources says whose messages a stream of a role brings.
var sources = map[Role]wire.Source{Worker: wire.FromWorker, Driver: wire.FromDriver, Client: wire.FromClient}

// A handler serves one stream.
type handler func(ctx context.Context, s grpc.ServerStream, l *line) error

// An endpoint is a gRPC server on one port.
type endpoint struct {
	trust Trust
	limits
	listener *listener
	guard    *account.Guard // nil: nobody has to prove an account
	roles    map[Role]handler
	running  sync.WaitGroup // handlers whose streams have ended
}

func (e *endpoint) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := grpc.NewServer(e.options()...)
	desc := grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil)}
	for role, h := range e.roles {
		desc.Streams = append(desc.Streams, grpc.StreamDesc{StreamName: string(role), Handler: serveStream(ctx, h),
			ServerStreams: true, ClientStreams: true})
	}
	server.RegisterService(&desc, struct{}{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(e.listener) }()
	var err error
	select {
	case <-ctx.Done():
		e.stop(server)
		<-served
	case err = <-served:
		cancel()
		e.stop(server)
		err = fmt.Errorf("listening on %s: %w", e.listener.Addr(), cause(err))
	}
	e.running.Wait()
	return err
}

// stop lets handlers, whose context has ended, finish, and cuts off those that
// do not.
func (e *endpoint) stop(server *grpc.Server) {
	e.listener.Close()
	timer := time.AfterFunc(closeTime, e.listener.killAll)
	defer timer.Stop()
	server.GracefulStop()
}

const service = "gespann.v1"

func (e *endpoint) options() []grpc.ServerOption {
	pings := serverPings
	pings.MaxConnectionIdle = e.idle
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(codec{}),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(e.streams), grpc.MaxHeaderListSize(maxHeaders),
		grpc.InitialWindowSize(e.window), grpc.InitialConnWindowSize(e.window * int32(min(e.streams, 4))),
		grpc.ReadBufferSize(e.buffer), grpc.WriteBufferSize(e.buffer),
		grpc.ConnectionTimeout(e.handshake), grpc.KeepaliveParams(pings), grpc.KeepaliveEnforcementPolicy(pingsOK),
		grpc.InTapHandle(e.admit), grpc.WaitForHandlers(true),
	}
	creds := insecure.NewCredentials()
	if e.secure() {
		creds = credentials.NewTLS(e.trust.Certs.Server())
	}
	return append(options, grpc.Creds(threshold{creds, e.secure(), e.listener}))
}

// secure reports whether strangers may reach the port, and must show who they
// are.
func (e *endpoint) secure() bool { return e.trust.Certs != nil && e.listener.name == "" }

// admit looks at who opens a stream before gRPC takes memory for it.
func (e *endpoint) admit(ctx context.Context, info *tap.Info) (context.Context, error) {
	err := check(info.Header)
	l, ok := lineOf(ctx)
	if err == nil {
		var g guest
		if g, err = e.identify(ctx, info); err == nil && ok {
			err = e.listener.join(l)
		}
		if err == nil {
			return withGuest(ctx, g), nil
		}
	}
	// gRPC keeps a little memory for each stream that was refused.
	if ok {
		l.endBy(refusedTime)
	}
	return nil, err
}

// refusedTime is how long a connection lasts whose stream was refused.
const refusedTime = time.Second

// check checks that both sides speak the same.
func check(md metadata.MD) error {
	if got := one(md, keyProtocol); got != strconv.Itoa(wire.Protocol) {
		if len(got) > wire.MaxName || got == "" {
			return refuse("a stranger: it does not say its protocol")
		}
		return refuse("protocol %q: this one speaks %d\nhint: use the same version of gespann everywhere", got, wire.Protocol)
	}
	return nil
}

// one returns the value of a key that occurs once.
func one(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) == 1 {
		return v[0]
	}
	return ""
}

// serveStream runs h for each stream, with a context that ends when the server does.
func serveStream(server context.Context, h handler) grpc.StreamHandler {
	return func(_ any, s grpc.ServerStream) error {
		l, ok := lineOf(s.Context())
		if !ok {
			return leave(errors.New("rpc: invariant: a stream has a line"))
		}
		ctx, cancel := context.WithCancel(s.Context())
		defer cancel()
		defer context.AfterFunc(server, cancel)()
		return h(ctx, s, l)
	}
}

// announce tells the other side that its stream is taken, and so is the lane that it
// offered, if there is one; and proves whose side this is.
func announce(ctx context.Context, s grpc.ServerStream, shared *lane.Lane) error {
	md := metadata.Pairs(keyProtocol, strconv.Itoa(wire.Protocol))
	if reply := guestOf(ctx).reply; reply != "" {
		md.Set(keyAccount, reply)
	}
	if shared != nil {
		md.Set(keyLane, laneTaken)
	}
	return s.SendHeader(md)
}
