package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/gespann/gespann/dist/server/client"
	"github.com/gespann/gespann/dist/wire"
	"github.com/gespann/gespann/internal/data/source"
	"github.com/gespann/gespann/model/spec"
)

// dataPaths returns the paths of a spec's data that files are read from.
func dataPaths(d *spec.Data) []*string {
	return []*string{&d.CSV.Path, &d.CSV.TestPath, &d.NPY.X, &d.NPY.Y, &d.NPY.TestX, &d.NPY.TestY, &d.Dir}
}

// takeAlong returns the files that a spec's data is in, each once, and gives the spec
// the paths that they have at the coordinator: their names, with a number where two
// have the same.
func takeAlong(s *spec.Spec) ([]client.File, error) {
	here := *s
	if err := here.Locate(); err != nil {
		return nil, err
	}
	located := here.Data.Located()
	var files []client.File
	names := map[string]string{} // of files and folders that have one
	taken := map[string]bool{}
	theirs := dataPaths(&s.Data)
	for i, p := range dataPaths(&located) {
		if *p == "" {
			continue
		}
		from, member, archive := strings.Cut(*p, ".npz:")
		if archive {
			from += ".npz"
		}
		name, known := names[from]
		if !known {
			name = freeName(filepath.Base(from), taken)
			names[from] = name
			more, err := filesAt(from, name, p == &located.Dir)
			if err != nil {
				return nil, err
			}
			files = append(files, more...)
		}
		if *theirs[i] = name; archive {
			*theirs[i] += ":" + member
		}
	}
	if len(files) == 0 {
		return nil, usagef("--upload: the data of %s is in no file: source %s", s.File, s.Data.Source)
	}
	s.Data.Root = ""
	return files, nil
}

// freeName returns a name that a file may have at the coordinator, and no other has.
func freeName(name string, taken map[string]bool) string {
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || strings.ContainsRune(`\:`, r) || r == unicode.ReplacementChar {
			return '_'
		}
		return r
	}, strings.TrimLeft(name, "."))
	if name == "" || name == "/" || len(name) > wire.MaxName/2 {
		name = "data" + path.Ext(name[max(0, len(name)-20):])
	}
	free := name
	for n := 2; taken[free]; n++ {
		free = fmt.Sprintf("%d-%s", n, name)
	}
	taken[free] = true
	return free
}

// filesAt reads a file, or those of a data set in a folder.
func filesAt(from, name string, folder bool) ([]client.File, error) {
	if !folder {
		f, err := client.NewFile(from, name)
		return []client.File{f}, err
	}
	var files []client.File
	for _, one := range source.FolderFiles() {
		if plain, ok := strings.CutSuffix(one, ".gz"); ok && len(files) > 0 && path.Base(files[len(files)-1].Path) == plain {
			continue // the plain one is what is read
		}
		f, err := client.NewFile(filepath.Join(from, one), path.Join(name, one))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: has none of %s", from, strings.Join(source.FolderFiles(), ", "))
	}
	return files, nil
}

// onlyUploaded checks that a job whose data came with it reads no other.
func onlyUploaded(s *spec.Spec) error {
	for _, p := range dataPaths(&s.Data) {
		if *p != "" && !filepath.IsLocal(*p) {
			return s.Errorf("data", "got %q, want a path of the files that came with the job", *p)
		}
	}
	if s.Data.Root != "" {
		return s.Errorf("data.root", "got %q, but files came with the job", s.Data.Root)
	}
	return nil
}

// ownNames takes the folder of what came with a job from a text, so that files have
// the names that its owner knows.
func ownNames(dataDir, text string) string {
	if dataDir == "" {
		return text
	}
	forms := []string{dataDir}
	if here, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(here, dataDir); err == nil {
			forms = append(forms, short)
		}
	}
	for _, f := range forms {
		text = strings.ReplaceAll(text, f+string(filepath.Separator), "")
	}
	return text
}

// uploadBytes returns the bound of a number of MiB; 0 is none at all.
func uploadBytes(mib int64) int64 {
	if mib <= 0 {
		return -1
	}
	return min(mib, math.MaxInt64>>20) << 20
}

// sentWords returns what shows on a terminal how much of files has been sent; nil where
// that takes no time, or nobody sees it.
func sentWords(t terminal, files []client.File) func(int64) {
	total := int64(0)
	for _, f := range files {
		total += f.Size
	}
	if total < 4<<20 || terminalWidth(t.err) == 0 {
		return nil
	}
	var last time.Time
	return func(sent int64) {
		if time.Since(last) < 100*time.Millisecond && sent < total {
			return
		}
		last = time.Now()
		fmt.Fprintf(t.err, "\r\x1b[Ksent %d of %d MiB", sent>>20, total>>20)
		if sent >= total {
			fmt.Fprint(t.err, "\r\x1b[K")
		}
	}
}
