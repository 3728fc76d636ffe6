package outfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxLinks is how many links are followed, as Linux has it.
const maxLinks = 40

// follow returns the path behind the links at path, and what is there; nil: nothing
// yet. Paths are not cleaned: behind a link to a folder, ".." is not what the text
// says.
func follow(path string) (string, fs.FileInfo, error) {
	for range maxLinks {
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(path, string(filepath.Separator)):
			return path, nil, nil
		case err != nil:
			return "", nil, err
		case info.IsDir():
			return "", nil, syscall.EISDIR
		case info.Mode()&fs.ModeSymlink == 0:
			return path, info, nil
		}
		to, err := os.Readlink(path)
		if err != nil {
			return "", nil, err
		}
		if !filepath.IsAbs(to) {
			folder, _ := filepath.Split(path)
			to = folder + to
		}
		path = to
	}
	return "", nil, syscall.ELOOP
}

// descriptor returns the descriptor of this process that a path names, such as
// /dev/stdout, perhaps by links. Opening it by name would begin at the start of the
// file behind it, over what is there.
func descriptor(path string) (int, bool) {
	for range maxLinks {
		switch path {
		case "/dev/stdout":
			return 1, true
		case "/dev/stderr":
			return 2, true
		}
		folder, name := filepath.Split(path)
		switch folder {
		case "/dev/fd/", "/proc/self/fd/", "/proc/" + strconv.Itoa(os.Getpid()) + "/fd/":
			n, err := strconv.Atoi(name)
			return n, err == nil && n >= 0
		}
		to, err := os.Readlink(path)
		if err != nil {
			return 0, false
		}
		if !filepath.IsAbs(to) {
			to = folder + to
		}
		path = to
	}
	return 0, false
}
