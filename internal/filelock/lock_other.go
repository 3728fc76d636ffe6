//go:build !unix

package train

import "os"

// lockFile takes no lock: this system has none that ends with the process.
func lockFile(*os.File) (bool, error) { return true, nil }
