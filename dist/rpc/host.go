package rpc

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Host identifies what shares unix sockets: a machine since it was started, and in
// it the user and the namespaces, so that containers and machines that were copied
// do not mistake each other.
func Host() string {
	parts := []string{fmt.Sprint(os.Getuid())}
	for _, path := range []string{"/etc/machine-id", "/proc/sys/kernel/random/boot_id"} {
		text, _ := os.ReadFile(path) // where there is none, the name below must do
		parts = append(parts, strings.TrimSpace(string(text)))
	}
	for _, space := range []string{"net", "mnt", "user"} {
		id, _ := os.Readlink("/proc/self/ns/" + space)
		parts = append(parts, id)
	}
	if name, err := os.Hostname(); err == nil {
		parts = append(parts, name)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:8])
}

// Outbound returns the IP address with which this machine reaches an address: where
// others that reach it find this machine. Nothing is sent.
func Outbound(address string) (string, error) {
	c, err := net.Dial("udp", address)
	if err != nil {
		return "", fmt.Errorf("address %q: %w", address, cause(err))
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP.String(), nil
}

const (
	socketPrefix = "gespann-peer-"
	socketName   = "peer.sock"
	// sweepAge is how old a folder is before its socket surely listens, if its
	// process is there.
	sweepAge = time.Minute
)

// socketDir makes a folder for a socket, which only its owner can reach, and
// removes those of processes that were killed.
func socketDir() (string, error) {
	base := os.TempDir()
	if len(base) > maxSocketPath/2 {
		base = "/tmp"
	}
	sweep(base, time.Now().Add(-sweepAge))
	return os.MkdirTemp(base, socketPrefix)
}

// sweep removes the folders in base, from before a time, at whose socket nobody
// listens. What it may not remove stays.
func sweep(base string, before time.Time) {
	sockets, _ := filepath.Glob(filepath.Join(base, socketPrefix+"*", socketName))
	for _, path := range sockets {
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Type() != os.ModeSocket || info.ModTime().After(before) {
			continue
		}
		c, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			c.Close()
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			os.RemoveAll(filepath.Dir(path))
		}
	}
}
