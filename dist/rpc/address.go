package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gespann/gespann/internal/shell"
)

// maxSocketPath is what the kernel holds of a unix socket's path, on every
// system.
const maxSocketPath = 103

// keepAlive finds the end of an idle connection whose other side is cut off.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3}

// split cuts an address, "unix:/path" or "host:port", into what package net wants.
func split(address string) (network, rest string, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			return "", "", fmt.Errorf("address %q: got no path", address)
		}
		if len(path) > maxSocketPath {
			return "", "", fmt.Errorf("address %q: got a path of %d bytes, want at most %d", address, len(path), maxSocketPath)
		}
		return "unix", path, nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return "", "", fmt.Errorf("address %q: want host:port or unix:/path", address)
	}
	return "tcp", address, nil
}

// local reports whether only processes of this machine reach an address.
func local(ctx context.Context, address string) (bool, error) {
	network, rest, err := split(address)
	if err != nil || network == "unix" {
		return err == nil, err
	}
	host, _, err := net.SplitHostPort(rest)
	if err != nil || host == "" {
		return false, err
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback(), nil
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return false, fmt.Errorf("address %q: %w", address, err)
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return false, nil
		}
	}
	return len(ips) > 0, nil
}

const hintTrust = "\nhint: make certificates and a token with `gespann certs`, and give every process --certs; or --insecure where everyone on the network may use it"

// permit says whether a process may listen on or dial an address.
func (t Trust) permit(ctx context.Context, address, verb string) error {
	if t.Certs != nil || t.Insecure {
		_, _, err := split(address)
		return err
	}
	ok, err := local(ctx, address)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %s %s: off this machine, and there are no certificates%s", ErrRefused, verb, address, hintTrust)
	}
	return err
}

// listen opens an address, within limits.
func listen(ctx context.Context, address string, lim limits) (*listener, error) {
	network, rest, err := split(address)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		if err := prepareSocket(rest); err != nil {
			return nil, fmt.Errorf("listening on %s: %w", address, err)
		}
	}
	config := net.ListenConfig{KeepAliveConfig: keepAlive}
	l, err := config.Listen(ctx, network, rest)
	if err != nil {
		return nil, listenError(address, err)
	}
	if network == "tcp" {
		address = ""
	}
	return newListener(l, address, lim), nil
}

func listenError(address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listening on %s: address is in use\nhint: is there a coordinator already?", address)
	}
	return fmt.Errorf("listening on %s: %w", address, cause(err))
}

// prepareSocket makes the socket's directory, which is its owner's alone, and
// removes what a process that is no more has left there.
func prepareSocket(path string) error {
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w: others can reach sockets in %s: got mode %04o, want 0700\nhint: chmod 700 %s",
			ErrRefused, dir, mode, shell.Word(dir))
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		return nil // Listen says what is wrong, if anything
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return nil // in use: Listen says so
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return nil
}

// cause strips what package net puts before an error: the sentence has it.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		err = sys.Err
	}
	return err
}
