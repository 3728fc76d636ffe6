package certs

import (
	"os"
	"path/filepath"
)

// Shared returns the files of a folder that every process of the cluster needs: all but
// the CA's key.
func Shared(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range []string{caFile, nodeFile, keyFile, tokenFile} {
		content, err := read(dir, name)
		if err != nil {
			return nil, err
		}
		files[name] = content
	}
	return files, nil
}

// Unpack loads files that Shared has returned, by name, without leaving them on a disk.
func Unpack(files map[string][]byte) (*Certs, error) {
	dir, err := os.MkdirTemp("", "gespann-certs-") // its owner's alone
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for name, content := range files {
		if err := write(filepath.Join(dir, filepath.Base(name)), content); err != nil {
			return nil, err
		}
	}
	return Load(dir)
}
