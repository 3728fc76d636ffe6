package wire

import (
	"crypto/sha256"
	"encoding/base32"
)

// WorkerID returns the ID of the worker with a secret: whoever reads the ID, on a page or in
// a log, cannot be that worker.
//
//	ID = base32(SHA-256(secret)[:15])
func WorkerID(secret string) string {
	sum := sha256.Sum256([]byte("gespann worker 1\n" + secret))
	return base32.StdEncoding.EncodeToString(sum[:15])
}
