package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gespann/gespann/internal/disk"
	"github.com/gespann/gespann/internal/filelock"
	"github.com/gespann/gespann/internal/infile"
)

const (
	attempts     = 5                // to get one file, as long as it gets longer
	stall        = 30 * time.Second // without a byte, after which to try again
	maxDownload  = 64 << 20         // bytes; the largest file has 26 million
	progressStep = 4 << 20          // bytes between lines of progress
	firstPause   = time.Second      // before the second attempt; each further one waits twice as long
)

// cacheDir returns the folder of a data set's downloads.
func cacheDir(name string, opt Options) (string, error) {
	if opt.CacheDir != "" {
		return filepath.Join(opt.CacheDir, name), nil
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cache directory: %w\nhint: set data.dir", err)
	}
	return filepath.Join(user, "gespann", name), nil
}

// lockName is the file that the process which downloads into its folder holds.
const lockName = "lock"

// download makes sure that the files of a mirror are in dir. A download that was
// interrupted goes on where it stopped; one that another process is at is waited
// for.
func download(ctx context.Context, m mirror, dir string, opt Options) error {
	if opt.BaseURL != "" {
		m.url = strings.TrimSuffix(opt.BaseURL, "/") + "/"
	}
	if !opt.Offline {
		if err := disk.MkdirAll(dir, 0o755); err != nil {
			return cacheError(dir, err)
		}
	}
	for i, file := range idxFiles {
		f := &fetch{
			url: m.url + file + ".gz", path: filepath.Join(dir, file+".gz"), sum: m.sums[i],
			pause: firstPause, log: opt.Log, offline: opt.Offline,
			files: infile.Files{Patience: opt.Files.Patience, Log: opt.Files.Log},
		}
		if err := f.run(ctx); ctx.Err() != nil {
			return err
		} else if err != nil {
			return cacheError(dir, err)
		}
	}
	return nil
}

// cacheError says where else the files may be.
func cacheError(dir string, err error) error {
	for _, of := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, fs.ErrPermission} {
		if errors.Is(err, of) {
			return fmt.Errorf("the cache of downloads %s: %w\nhint: make room there, or have it elsewhere: XDG_CACHE_HOME names "+
				"the folder of caches; or put the files into a folder and name it in data.dir", dir, err)
		}
	}
	return fmt.Errorf("%w\nhint: put the files into a folder and name it in data.dir", err)
}

// A fetch gets one file. It is written to path.part, checked, and renamed.
type fetch struct {
	url, path string
	sum       string // SHA-256 in hexadecimal
	pause     time.Duration
	log       func(format string, args ...any)
	client    http.Client
	offline   bool
	files     infile.Files // of the cache, which is not confined
}

// run gets the file, unless it is there.
func (f *fetch) run(ctx context.Context) error {
	if have, err := f.done(ctx); have || err != nil {
		return err
	}
	if f.offline {
		return fmt.Errorf("%s: %w, and may not be downloaded", f.path, fs.ErrNotExist)
	}
	lock, err := filelock.Open(filepath.Join(filepath.Dir(f.path), lockName))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := filelock.Wait(ctx, lock, func() { f.log("%s: another process is downloading it", f.path) }); err != nil {
		return fmt.Errorf("%s: %w", lock.Name(), err)
	}
	if have, err := f.done(ctx); have || err != nil {
		return err // by the other process
	}
	return f.get(ctx)
}

// done reports whether the file is there and what it should be.
func (f *fetch) done(ctx context.Context) (bool, error) {
	sum, err := sumOf(ctx, f.files, f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return sum == f.sum, err
}

// errTemporary marks what another attempt may mend.
type errTemporary struct{ error }

func (e errTemporary) Unwrap() error { return e.error }

// get tries until the file is there, or trying is of no use.
func (f *fetch) get(ctx context.Context) error {
	wait := f.pause
	for try := 1; ; try++ {
		before := f.have()
		err := f.try(ctx, before)
		if err == nil {
			break
		}
		if !errors.As(err, &errTemporary{}) || ctx.Err() != nil {
			return fmt.Errorf("%s: %w", f.url, err)
		}
		if f.have() > before {
			try, wait = 1, f.pause // it is getting longer
		}
		if try >= attempts {
			return fmt.Errorf("%s: %w; gave up after %d attempts", f.url, err, try)
		}
		f.log("%s: %v; trying again", f.url, err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", f.url, ctx.Err())
		case <-time.After(wait):
			wait *= 2
		}
	}
	return f.check(ctx)
}

func (f *fetch) part() string { return f.path + ".part" }

// have returns how many bytes there are already.
func (f *fetch) have() int64 {
	info, err := os.Stat(f.part())
	if err != nil {
		return 0
	}
	return info.Size()
}

// try asks for the bytes after those that are there, and appends them. A server
// that sends the whole file instead is taken at its word.
func (f *fetch) try(ctx context.Context, have int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alarm := time.AfterFunc(stall, func() { cancel(fmt.Errorf("nothing came for %v", stall)) })
	defer alarm.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept-Encoding", "identity") // the checksum is of the .gz
	if have > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	response, err := f.client.Do(request)
	if err != nil {
		return temporary(ctx, err)
	}
	defer response.Body.Close()
	flags := os.O_CREATE | os.O_WRONLY
	switch status := response.StatusCode; {
	case status == http.StatusPartialContent && startsAt(response, have):
		flags |= os.O_APPEND
	case status == http.StatusOK:
		flags |= os.O_TRUNC
		have = 0
	case status == http.StatusPartialContent || status == http.StatusRequestedRangeNotSatisfiable:
		// What is there may be all, or not of this file; the checksum decides.
		if sum, err := sumOf(ctx, f.files, f.part()); err == nil && sum == f.sum {
			return nil
		}
		if err := os.Remove(f.part()); err != nil {
			return err
		}
		return errTemporary{fmt.Errorf("server cannot continue at byte %d", have)}
	case status >= 500 || status == http.StatusTooManyRequests:
		return errTemporary{fmt.Errorf("server says %s", response.Status)}
	default:
		return fmt.Errorf("server says %s", response.Status)
	}
	return f.save(ctx, response, flags, have, alarm)
}

// startsAt reports whether a partial response starts at a byte.
func startsAt(r *http.Response, first int64) bool {
	return strings.HasPrefix(r.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", first))
}

// save writes the body to the part, which keeps what came before an error.
func (f *fetch) save(
	ctx context.Context, r *http.Response, flags int, have int64, alarm *time.Timer,
) (err error) {
	out, err := disk.OpenFile(f.part(), flags, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil { // some file systems find out only now that there is no room
			err = out.Sync()
		}
		err = errors.Join(err, out.Close())
	}()
	total := "?"
	if r.ContentLength >= 0 {
		total = megabytes(have + r.ContentLength)
	}
	f.log("%s: %s of %s MB", f.url, megabytes(have), total)
	buf := make([]byte, chunk)
	for next := have + progressStep; ; {
		n, readErr := r.Body.Read(buf)
		if n > 0 {
			alarm.Reset(stall)
		}
		if have += int64(n); have > maxDownload {
			return fmt.Errorf("more than %d bytes, the file has fewer", maxDownload)
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return err
		}
		if have >= next {
			f.log("%s: %s of %s MB", f.url, megabytes(have), total)
			next += progressStep
		}
		if errors.Is(readErr, io.EOF) {
			return nil
		}
		if readErr != nil {
			return temporary(ctx, readErr)
		}
	}
}

// check compares the checksum and gives the file its name, or removes it.
func (f *fetch) check(ctx context.Context) error {
	sum, err := sumOf(ctx, f.files, f.part())
	if err != nil {
		return err
	}
	if sum != f.sum {
		if err := os.Remove(f.part()); err != nil {
			return err
		}
		return fmt.Errorf("%s: SHA-256 is %s, want %s; removed it", f.url, sum, f.sum)
	}
	return disk.Rename(f.part(), f.path)
}

// temporary marks a network error, and says why when the context knows better.
// A host without an address will have none in a second either.
func temporary(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return errTemporary{cause}
	}
	var request *url.Error // names the URL once more
	if errors.As(err, &request) {
		err = request.Err
	}
	var lookup *net.DNSError
	if errors.As(err, &lookup) && lookup.IsNotFound {
		return fmt.Errorf("no address for host %s", lookup.Name)
	}
	return errTemporary{err}
}

// sumOf returns the SHA-256 of a file in hexadecimal.
func sumOf(ctx context.Context, files infile.Files, path string) (string, error) {
	f, err := files.Open(ctx, path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }
