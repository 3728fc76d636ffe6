package rpc

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"
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

// outbound returns the IP address with which this machine reaches an address: where
// others that reach it find this machine. Nothing is sent.
func outbound(address string) (string, error) {
	c, err := net.Dial("udp", address)
	if err != nil {
		return "", fmt.Errorf("address %q: %w", address, cause(err))
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP.String(), nil
}
