package account

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/gespann/gespann/internal/shell"
)

const (
	folderName = "gespann"
	fileName   = "local.key"
)

// Name returns that of the account of this process: "alice", or "uid 1000" where it has
// none.
func Name() string { return NameOf(os.Geteuid()) }

// NameOf returns the name of an account.
func NameOf(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// Own returns the key of this process's account, and makes it where there is none. It is
// gespann/local.key in the configuration directory of the account's home; or where that
// cannot be written, of HOME or XDG_CONFIG_HOME; or else in a folder of the directory for
// temporary files.
func Own() (*Key, error) { return own(places()) }

// In returns the key in a folder of this account's, and makes it where there is none.
func In(folder string) (*Key, error) { return own([]place{{folder: folder}}) }

// A place is a folder that may have the key.
type place struct {
	folder string
	// shared: others make files beside the folder, which may be theirs.
	shared bool
}

// places returns where a key may be, best first.
func places() (all []place) {
	add := func(config string) {
		p := place{folder: filepath.Join(config, folderName)}
		if len(all) == 0 || all[0] != p {
			all = append(all, p)
		}
	}
	// As for ssh, the home is that of the account: some processes have no environment, as
	// from cron, and some that of another account.
	if u, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil && filepath.IsAbs(u.HomeDir) {
		switch runtime.GOOS {
		case "windows":
		case "darwin", "ios":
			add(filepath.Join(u.HomeDir, "Library", "Application Support"))
		default:
			add(filepath.Join(u.HomeDir, ".config"))
		}
	}
	if config, err := os.UserConfigDir(); err == nil {
		add(config)
	}
	return append(all, place{filepath.Join(os.TempDir(), "gespann-"+strconv.Itoa(os.Geteuid())), true})
}

// own returns the key of the first place that has one, or else makes it in the first that
// can be written.
func own(places []place) (*Key, error) {
	for _, p := range places {
		if p.shared && p.private() != nil {
			continue
		}
		k, err := read(filepath.Join(p.folder, fileName))
		if err == nil || !absent(err) {
			return k, err
		}
	}
	var errs []error
	for _, p := range places {
		k, err := p.make()
		if err == nil {
			return k, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("the key by which processes of this account know each other: %w\n"+
		"hint: it needs a folder of this account: set HOME or TMPDIR to one that can be written", errors.Join(errs...))
}

// absent reports whether an error says that this account has no file there.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || notDir(err)
}

// make makes a key, unless another process has: then it returns that.
func (p place) make() (*Key, error) {
	if err := p.prepare(); err != nil {
		return nil, err
	}
	var secret [keySize]byte
	rand.Read(secret[:]) // never fails
	f, err := os.CreateTemp(p.folder, "."+fileName+"-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(secret[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	path := filepath.Join(p.folder, fileName)
	// A link, unlike a new name, takes nothing away from who was first.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return read(path)
}

// prepare makes the folder, of this account.
func (p place) prepare() error {
	if p.shared {
		if err := os.Mkdir(p.folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return p.private()
	}
	// Below the home of another account, whose environment this process has, the key would be
	// in that one's way.
	above := p.folder
	info, err := os.Stat(above)
	for ; err != nil && above != filepath.Dir(above); info, err = os.Stat(above) {
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		above = filepath.Dir(above)
	}
	if err != nil {
		return err
	}
	if !ours(info) {
		return fmt.Errorf("%s: is another account's", above)
	}
	return os.MkdirAll(p.folder, 0o700)
}

// private returns an error unless the folder is one that only this account can use.
func (p place) private() error {
	info, err := os.Lstat(p.folder)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s: is no folder", p.folder)
	case !ours(info):
		return fmt.Errorf("%s: is another account's", p.folder)
	case open(info):
		return fmt.Errorf("%s: others can use it: got mode %04o, want 0700\nhint: chmod 700 %s",
			p.folder, info.Mode().Perm(), shell.Word(p.folder))
	}
	return nil
}

// open reports whether others may use a file.
func open(info fs.FileInfo) bool { return runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 }

// read reads a key.
func read(path string) (*Key, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is no file\nhint: remove it: a new key is made", path)
	case !ours(info):
		return nil, fmt.Errorf("%s: is another account's: who has it would be taken for %s\nhint: remove it: a new key is made",
			path, Name())
	case open(info):
		return nil, fmt.Errorf("%s: others can read it: got mode %04o, want 0600\nhint: remove it: a new key is made, which nobody has read",
			path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	k := &Key{Path: path}
	if !unhex(k.secret[:], strings.TrimSuffix(string(text), "\n")) {
		return nil, fmt.Errorf("%s: got %d bytes, want %d hexadecimal digits\nhint: remove it: a new key is made",
			path, len(text), 2*keySize)
	}
	return k, nil
}
