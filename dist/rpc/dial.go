package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc/lane"
	"github.com/gespann/gespann/dist/wire"
)

// Dial connects to the coordinator at an address, "host:port" or "unix:/path". It
// does not wait for one: it returns when the coordinator has taken the connection, or has
// refused it (ErrRefused), or cannot be reached, or ctx ends. The connection lasts
// until Close.
func Dial(ctx context.Context, address string, as Role, t Trust) (dist.Conn, error) {
	for times := 1; ; times++ {
		c, err := dial(ctx, address, as, t)
		if !errors.Is(err, errCutOff) || times == maxCutOff || ctx.Err() != nil {
			return c, err
		}
	}
}

// errCutOff says that the other side ended the connection in the middle of a handshake:
// a coordinator with a crowd at its door does, and the next one may have more luck.
var errCutOff = errors.New("it closed the connection at once")

// maxCutOff is how often Dial tries then.
const maxCutOff = 5

func dial(ctx context.Context, address string, as Role, t Trust) (dist.Conn, error) {
	ch, err := dialChannel(ctx, address, t, "coordinator", dist.Coordinate, coordinatorLimits)
	if err != nil {
		return nil, err
	}
	s, shared, cancel, err := ch.open(ctx, as, metadata.MD{})
	if err != nil {
		ch.close()
		return nil, err
	}
	c := newConn(s, ch.line, shared, ch.who, wire.FromCoordinator)
	c.finish = func() {
		c.farewell(s, cancel)
		ch.close()
	}
	return c, nil
}

// farewell ends the stream so that what was sent before arrives: the other side
// sees the end behind it, and ends the stream in turn.
func (c *conn) farewell(s grpc.ClientStream, cancel context.CancelFunc) {
	timer := time.AfterFunc(closeTime, cancel)
	defer timer.Stop()
	defer cancel()
	select {
	case c.sending <- struct{}{}: // nobody sends from now on
	case <-s.Context().Done():
		return
	}
	if s.CloseSend() != nil {
		return
	}
	select {
	case c.receiving <- struct{}{}:
	case <-s.Context().Done():
		return
	}
	for {
		var ignored whole
		if err := s.RecvMsg(&ignored); err != nil {
			return
		}
	}
}

// A channel is a gRPC client on one network connection.
type channel struct {
	*grpc.ClientConn
	line  *line
	who   string
	token string
	own   *ownership // nil: nothing to prove
}

// dialChannel connects to what, which must have a role. Network and TLS are dealt with
// before gRPC gets the connection, so that their errors are what they are.
func dialChannel(ctx context.Context, address string, t Trust, what string, must dist.Roles, lim limits) (*channel, error) {
	who := what + " " + address
	if err := t.permit(ctx, address, "dialling "+what); err != nil {
		return nil, err
	}
	network, rest, err := split(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	dialer := net.Dialer{KeepAliveConfig: keepAlive}
	raw, err := dialer.DialContext(ctx, network, rest)
	if err != nil {
		return nil, dialError(who, err)
	}
	giveUpAfter(raw, giveUp)
	ch := &channel{who: who}
	if ch.own, err = t.owns(raw, who); err != nil {
		raw.Close()
		return nil, err
	}
	if t.Certs != nil && network == "tcp" {
		secured, err := secure(ctx, raw, t.Certs.Client(must))
		if err != nil {
			raw.Close()
			return nil, tlsError(who, err)
		}
		raw, ch.token = secured, t.Certs.Token
	}
	ch.line = newLine(&witness{Conn: raw}, address)
	ch.ClientConn, err = grpc.NewClient("passthrough:///gespann", ch.options(lim)...)
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("%s: %w", who, err)
	}
	return ch, nil
}

func (ch *channel) options(lim limits) []grpc.DialOption {
	var once sync.Once
	dial := func(context.Context, string) (net.Conn, error) {
		var c net.Conn
		once.Do(func() { c = ch.line })
		if c == nil {
			return nil, net.ErrClosed // gRPC would connect again: callers do
		}
		return c, nil
	}
	return []grpc.DialOption{
		grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}),
			grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithInitialWindowSize(lim.window), grpc.WithInitialConnWindowSize(lim.window),
		grpc.WithReadBufferSize(lim.buffer), grpc.WithWriteBufferSize(lim.buffer),
		grpc.WithMaxHeaderListSize(maxHeaders), grpc.WithKeepaliveParams(clientPings),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithDisableHealthCheck(),
		grpc.WithNoProxy(), grpc.WithIdleTimeout(0),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: handshakeTime}),
	}
}

// close ends the connection.
func (ch *channel) close() {
	ch.Close()
	ch.line.Close() // gRPC has not, if it never began
}

// open opens a stream, and waits until the other side has taken it. With a process of
// this machine there may be a lane too. ctx is for opening only.
func (ch *channel) open(ctx context.Context, role Role, md metadata.MD) (
	_ grpc.ClientStream, _ *lane.Lane, _ context.CancelFunc, err error) {
	settle := ch.offerLane(role, md)
	s, header, cancel, err := ch.stream(ctx, role, md)
	return s, settle(header), cancel, err
}

// stream opens a stream, and returns the header of the other side's answer.
func (ch *channel) stream(ctx context.Context, role Role, md metadata.MD) (
	grpc.ClientStream, metadata.MD, context.CancelFunc, error) {
	md.Set(keyProtocol, strconv.Itoa(wire.Protocol))
	if ch.token != "" {
		md.Set(keyToken, ch.token)
	}
	proved := ch.own.claim(role, md)
	own, cancel := context.WithCancel(metadata.NewOutgoingContext(context.Background(), md))
	ctx, done := context.WithTimeout(ctx, handshakeTime)
	defer done()
	stop := context.AfterFunc(ctx, cancel)
	s, err := ch.NewStream(own, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/"+service+"/"+string(role))
	var header metadata.MD
	if err == nil {
		header, err = taken(s)
	}
	if err == nil {
		err = proved(header)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, nil, nil, ch.openError(ctx, err)
	}
	return s, header, cancel, nil
}

// taken waits for the header of a stream.
func taken(s grpc.ClientStream) (metadata.MD, error) {
	md, err := s.Header()
	if err != nil {
		return nil, err
	}
	if one(md, keyProtocol) == "" { // the stream has ended: why?
		var none whole
		if err := s.RecvMsg(&none); err != nil {
			return nil, err
		}
		return nil, errors.New("not a gespann of this version")
	}
	return md, nil
}

func (ch *channel) openError(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s: no answer within %v", ch.who, handshakeTime)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", ch.who, ctx.Err())
	}
	if first := ch.line.Conn.(*witness).first(); first != nil {
		if errors.Is(first, io.EOF) || errors.Is(first, syscall.ECONNRESET) || errors.Is(first, syscall.EPIPE) {
			return fmt.Errorf("%s: %w%s", ch.who, errCutOff, hintEnds)
		}
	}
	return sentence(ch.who, err)
}

const hintEnds = "\nhint: if it has certificates, give --certs FOLDER. Else it may be another program, or have many strangers at its port: try again"

// secure starts TLS on a connection. It waits for the first byte from the other
// side: only with that, or an alert, does it say what it thinks of our certificate.
func secure(ctx context.Context, raw net.Conn, config *tls.Config) (net.Conn, error) {
	c := tls.Client(raw, config)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })()
	first := make([]byte, 1)
	if _, err := c.Read(first); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	return &ahead{Conn: c, first: first}, nil
}

// An ahead is a connection of which some bytes have been read.
type ahead struct {
	net.Conn
	first []byte
}

func (a *ahead) Read(b []byte) (int, error) {
	if len(a.first) > 0 {
		n := copy(b, a.first)
		a.first = a.first[n:]
		return n, nil
	}
	return a.Conn.Read(b)
}

// A witness remembers the first error of the connection: gRPC keeps only its text.
type witness struct {
	net.Conn
	mu  sync.Mutex
	err error
}

func (w *witness) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.saw(err)
	return n, err
}

func (w *witness) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.saw(err)
	return n, err
}

func (w *witness) saw(err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

func (w *witness) first() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func dialError(who string, err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%s: nobody listens there\nhint: gespann coordinator starts one; --coordinator says where it is", who)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer within %v", who, handshakeTime)
	}
	return fmt.Errorf("%s: %w", who, cause(err))
}
