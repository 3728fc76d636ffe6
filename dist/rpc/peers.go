package rpc

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/gespann/gespann/dist"
	"github.com/gespann/gespann/dist/rpc/account"
	"github.com/gespann/gespann/dist/wire"
)

var peerLimits = limits{conns: 256, strangers: strangerPlaces, guests: guestPlaces, stranger: 10 * time.Second,
	streams: 64, window: 16 << 20, buffer: 1 << 20,
	handshake: handshakeTime, idle: 5 * time.Minute}

const (
	// peerTime is how long a link waits to be accepted, and maxPending how many.
	peerTime   = 30 * time.Second
	maxPending = 256
)

// PeerOptions say how other workers reach this one.
type PeerOptions struct {
	// Coordinator is the coordinator's address. With a unix socket all workers are
	// on this machine, and so are the links; otherwise there is a TCP port too, on the
	// address with which this machine reaches the coordinator.
	Coordinator string
	// Listen, if not "", is the "host:port" of that port.
	Listen string
	Trust
}

// Peers implements dist.Peers with a gRPC server of the worker's own, on a unix
// socket in a private directory, and on TCP unless all workers are on this machine.
// Connections last from one generation to the next. Its methods may be called
// concurrently.
type Peers struct {
	trust     Trust
	host      string
	dir       string
	held      *os.File // the lock on dir
	addresses []string
	stop      context.CancelFunc
	served    sync.WaitGroup

	mu       sync.Mutex
	channels map[string]*channel // by address
	boxes    map[linkKey]*box
	pending  int
}

var _ dist.Peers = (*Peers)(nil)

// A linkKey names a link of a generation.
type linkKey struct {
	job      string
	gen      int
	from, to string
	// member is what proves that from knows the group's secret. A link with another one is
	// another link: it takes nobody's place, and nobody waits for it.
	member string
}

// A box is where a link that came meets the one who waits for it.
type box struct {
	link    chan *link // holds one
	waiters int
}

// NewPeers opens the ports and serves until Close.
func NewPeers(opt PeerOptions) (*Peers, error) {
	p := &Peers{trust: opt.Trust, host: Host(), channels: map[string]*channel{}, boxes: map[linkKey]*box{}}
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	listeners, guard, err := p.listen(ctx, opt)
	if err != nil {
		p.Close()
		return nil, err
	}
	for _, l := range listeners {
		e := &endpoint{trust: p.trust, limits: peerLimits, listener: l, guard: guard, roles: map[Role]handler{peerRole: p.take}}
		p.served.Go(func() { e.serve(ctx) }) // who needs the port learns that it is closed
	}
	return p, nil
}

func (p *Peers) listen(ctx context.Context, opt PeerOptions) (listeners []*listener, guard *account.Guard, err error) {
	if p.dir, p.held, err = socketDir(); err != nil {
		return nil, nil, fmt.Errorf("socket for other workers: %w", err)
	}
	addresses := []string{"unix:" + filepath.Join(p.dir, socketName)}
	tcp, err := opt.tcp(ctx)
	if err != nil {
		return nil, nil, err
	}
	if tcp != "" {
		if guard, err = opt.guard(tcp); err != nil {
			return nil, nil, err
		}
		addresses = append(addresses, tcp)
	}
	for _, address := range addresses {
		l, err := listen(ctx, address, peerLimits)
		if err != nil {
			for _, open := range listeners {
				open.Close()
			}
			return nil, nil, err
		}
		if l.name == "" {
			address = l.Addr().String()
		}
		listeners, p.addresses = append(listeners, l), append(p.addresses, address)
	}
	return listeners, guard, nil
}

// tcp returns the address of the port, or "".
func (o PeerOptions) tcp(ctx context.Context) (string, error) {
	address := o.Listen
	if address == "" {
		if o.Coordinator == "" || strings.HasPrefix(o.Coordinator, "unix:") {
			return "", nil
		}
		ip, err := Outbound(o.Coordinator)
		if err != nil {
			return "", err
		}
		address = net.JoinHostPort(ip, "0")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("address %q: want host:port", address)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		// Others must be told an address, not all of them.
		if o.Coordinator == "" || strings.HasPrefix(o.Coordinator, "unix:") {
			return "", fmt.Errorf("address %q: want the host that other workers know", address)
		}
		if host, err = Outbound(o.Coordinator); err != nil {
			return "", err
		}
		address = net.JoinHostPort(host, port)
	}
	return address, o.permit(ctx, address, "listening for other workers on")
}

// Addresses implements dist.Peers.
func (p *Peers) Addresses() []string { return slices.Clone(p.addresses) }

// Host returns what Member.Host of this worker is.
func (p *Peers) Host() string { return p.host }

// Close closes ports, connections and links.
func (p *Peers) Close() error {
	p.stop()
	p.mu.Lock()
	channels := p.channels
	p.channels = map[string]*channel{}
	p.mu.Unlock()
	for _, ch := range channels {
		ch.close()
	}
	p.served.Wait()
	if p.dir == "" {
		return nil
	}
	defer p.held.Close()
	return os.RemoveAll(p.dir)
}

// take serves a link that came: it waits in its box until someone accepts it, and
// lasts until either side closes it.
func (p *Peers) take(ctx context.Context, s grpc.ServerStream, l *line) error {
	key, err := keyOf(ctx)
	if err != nil {
		return err
	}
	shared := l.takeLane(ctx)
	k := newLink(s, l, shared, "worker "+key.from)
	defer k.Close()
	left := make(chan struct{})
	k.finish = func() { close(left) }
	if err := p.post(key, k); err != nil {
		return err
	}
	defer p.unpost(key, k)
	if err := announce(ctx, s, shared); err != nil {
		return err
	}
	timer := time.NewTimer(peerTime)
	defer timer.Stop()
	for {
		select {
		case <-left:
			return nil
		case <-ctx.Done():
			k.Close()
			return nil
		case <-timer.C:
			if p.unpost(key, k) {
				return refuse("the link: nobody has asked for it within %v", peerTime)
			}
		}
	}
}

// keyOf returns which link a stream is.
func keyOf(ctx context.Context) (linkKey, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	key := linkKey{job: one(md, keyJob), from: one(md, keyFrom), to: one(md, keyTo), member: one(md, keyMember)}
	var err error
	key.gen, err = strconv.Atoi(one(md, keyGen))
	if err != nil || key.from == "" || key.to == "" || len(key.job+key.from+key.to) > 3*wire.MaxName || len(key.member) > wire.MaxName {
		return key, refuse("the link: it does not say whose it is")
	}
	return key, nil
}

// post puts a link into its box.
func (p *Peers) post(key linkKey, k *link) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending >= maxPending {
		return refuse("the link: %d wait already", maxPending)
	}
	select {
	case p.box(key).link <- k:
		p.pending++
		return nil
	default:
		return refuse("the link: there is one already")
	}
}

// unpost takes a link out of its box, and reports whether it was there.
func (p *Peers) unpost(key linkKey, k *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, ok := p.boxes[key]
	if !ok {
		return false
	}
	defer p.tidy(key)
	select {
	case got := <-b.link:
		if got != k {
			b.link <- got
			return false
		}
		p.pending--
		return true
	default:
		return false
	}
}

// box returns the box of a link. p.mu is held.
func (p *Peers) box(key linkKey) *box {
	if p.boxes[key] == nil {
		p.boxes[key] = &box{link: make(chan *link, 1)}
	}
	return p.boxes[key]
}

// tidy removes a box that nobody uses. p.mu is held.
func (p *Peers) tidy(key linkKey) {
	if b := p.boxes[key]; b != nil && b.waiters == 0 && len(b.link) == 0 {
		delete(p.boxes, key)
	}
}

// Accept implements dist.Peers.
func (p *Peers) Accept(ctx context.Context, gen dist.Generation, from string) (dist.Link, error) {
	key := linkKey{gen.Job, gen.Gen, from, gen.Self, member(gen, from, gen.Self)}
	p.mu.Lock()
	b := p.box(key)
	b.waiters++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		b.waiters--
		p.tidy(key)
	}()
	select {
	case k := <-b.link:
		p.mu.Lock()
		p.pending--
		p.mu.Unlock()
		return k, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("worker %s: waiting for its link: %w", from, ctx.Err())
	}
}

// Dial implements dist.Peers: over the unix socket of a worker on this machine,
// else over TCP.
func (p *Peers) Dial(ctx context.Context, gen dist.Generation, to wire.Member) (dist.Link, error) {
	err := fmt.Errorf("worker %s: got no address that this worker can reach: %v", to.ID, to.Peer)
	for _, address := range to.Peer {
		if !p.reaches(address, to.Host) {
			continue
		}
		var k *link
		if k, err = p.dial(ctx, gen, to.ID, address); err == nil {
			return k, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// reaches reports whether an address of a worker on a host may be one for here.
func (p *Peers) reaches(address, host string) bool {
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return true
	}
	if host != p.host {
		return false
	}
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == os.ModeSocket
}

// dial opens a link on the connection that there is, or on a new one.
func (p *Peers) dial(ctx context.Context, gen dist.Generation, to, address string) (*link, error) {
	if ch := p.keep(address, nil); ch != nil {
		k, err := ch.link(ctx, gen, to)
		if err == nil || errors.Is(err, ErrRefused) || ctx.Err() != nil {
			return k, err
		}
		p.forget(address, ch)
	}
	ch, err := dialChannel(ctx, address, p.trust, "worker "+to, dist.Work, peerLimits)
	if err != nil {
		return nil, err
	}
	if kept := p.keep(address, ch); kept != ch {
		ch.close()
		ch = kept
	}
	return ch.link(ctx, gen, to)
}

// keep returns the connection to an address that there is, or keeps and returns
// fresh.
func (p *Peers) keep(address string, fresh *channel) *channel {
	p.mu.Lock()
	ch, stale := p.channels[address], (*channel)(nil)
	if ch != nil {
		select {
		case <-ch.line.dead:
			ch, stale = nil, ch
		default:
		}
	}
	if ch == nil {
		ch = fresh
		p.channels[address] = fresh
	}
	if ch == nil {
		delete(p.channels, address)
	}
	p.mu.Unlock()
	if stale != nil {
		stale.close()
	}
	return ch
}

// forget closes a connection.
func (p *Peers) forget(address string, ch *channel) {
	p.mu.Lock()
	if p.channels[address] == ch {
		delete(p.channels, address)
	}
	p.mu.Unlock()
	ch.close()
}

// link opens a link on a connection.
func (ch *channel) link(ctx context.Context, gen dist.Generation, to string) (*link, error) {
	s, shared, cancel, err := ch.open(ctx, peerRole, metadata.Pairs(keyJob, gen.Job, keyGen, strconv.Itoa(gen.Gen),
		keyFrom, gen.Self, keyTo, to, keyMember, member(gen, gen.Self, to)))
	if err != nil {
		return nil, err
	}
	k := newLink(s, ch.line, shared, ch.who)
	k.finish = cancel
	return k, nil
}

// member proves for one link that who dials it knows the secret of the group, which the
// coordinator has told its members.
func member(gen dist.Generation, from, to string) string {
	h := hmac.New(sha256.New, []byte(gen.Secret))
	fmt.Fprintf(h, "gespann link 1\n%q %d %q %q", gen.Job, gen.Gen, from, to)
	return hex.EncodeToString(h.Sum(nil))
}
