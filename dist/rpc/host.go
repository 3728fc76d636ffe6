package rpc

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gespann/gespann/internal/filelock"
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
	// sweepAge is how old a folder is before its process surely has the lock on it, and
	// listens at its socket, if it is there.
	sweepAge = 5 * time.Second
)

// socketBase returns where the folders of sockets are: not too deep for the path of one.
func socketBase() string {
	if base := os.TempDir(); len(base) <= maxSocketPath/2 {
		return base
	}
	return "/tmp"
}

// socketDir makes a folder for a socket, which only its owner can reach, and removes those
// of processes that were killed. The lock, which ends with this process, keeps it from
// being removed.
func socketDir() (dir string, lock *os.File, err error) {
	base := socketBase()
	sweep(base, time.Now().Add(-sweepAge))
	if dir, err = os.MkdirTemp(base, socketPrefix); err != nil {
		return "", nil, err
	}
	if lock, err = os.Open(dir); err == nil {
		_, err = filelock.Try(lock)
	}
	if err != nil {
		lock.Close() // may be nil
		os.Remove(dir)
		return "", nil, err
	}
	return dir, lock, nil
}

// sweepSockets removes the folders of processes that were killed a while ago.
func sweepSockets() { sweep(socketBase(), time.Now().Add(-sweepAge)) }

// sweep removes the folders in base, from before a time, that no process holds and at
// whose socket nobody listens. What it may not remove stays.
func sweep(base string, before time.Time) {
	dirs, _ := filepath.Glob(filepath.Join(base, socketPrefix+"*"))
	for _, dir := range dirs {
		if info, err := os.Lstat(dir); err == nil && info.IsDir() && info.ModTime().Before(before) && left(dir) {
			os.RemoveAll(dir)
		}
	}
}

// left reports whether the process of a folder is no more.
func left(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false // it is another's
	}
	defer f.Close()
	if free, err := filelock.Try(f); !free || err != nil {
		return false
	}
	// Processes of earlier versions hold no lock.
	c, err := net.DialTimeout("unix", filepath.Join(dir, socketName), time.Second)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}
