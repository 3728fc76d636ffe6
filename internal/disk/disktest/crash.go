package disktest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/disk"
)

// A Crash is what a loss of power may leave behind.
type Crash struct {
	After     int      // so many operations
	Variant   string   // what became of those that were not synced
	Confirmed []string // by then: see Mark
	Last      disk.Op  // the latest operation
	root      *node
}

func (c *Crash) String() string {
	return fmt.Sprintf("power lost after %d operations, the last of which is %s %s; %s", c.After, c.Last.Kind,
		filepath.Base(c.Last.Path), c.Variant)
}

// Crashes returns what a loss of power after any of the operations may leave behind:
// states that differ, each with the last operation after which it may come about, and what
// was confirmed by then. The recording began with an empty folder.
//
// What was written to a file is there for sure after a Sync of it, and the names in a
// folder after a SyncFolder of that. Of the rest there may be everything, nothing, some,
// and names without what they name: file systems bring names to the disk in their own
// time, and contents in another.
func (r *Recorder) Crashes(every int) []*Crash {
	var all []*Crash
	latest := map[[sha256.Size]byte]*Crash{}
	effects, inodes := r.effects()
	for n := 0; n <= len(r.ops); n++ {
		if n%every != 0 && n != len(r.ops) {
			continue
		}
		var confirmed []string
		var last disk.Op
		for _, op := range r.ops[:n] {
			if op.Kind == mark {
				confirmed = append(confirmed, op.Path)
			} else {
				last = op
			}
		}
		for _, v := range variants(effects, n) {
			c := &Crash{After: n, Variant: v.name, Confirmed: confirmed, Last: last, root: replay(effects[:v.until(effects, n)], inodes, v.keep)}
			sum := c.root.digest()
			if known := latest[sum]; known != nil {
				known.After, known.Variant, known.Confirmed, known.Last = n, v.name, confirmed, last // it must serve these, too
				continue
			}
			latest[sum] = c
			all = append(all, c)
		}
	}
	return all
}

// Make writes the state into a folder, which is made.
func (c *Crash) Make(t testing.TB, folder string) {
	t.Helper()
	if err := c.root.write(folder); err != nil {
		t.Fatal(err)
	}
}

// A node is a file or a folder.
type node struct {
	folder bool
	data   []byte
	kids   map[string]*node
}

func (n *node) write(path string) error {
	if !n.folder {
		return os.WriteFile(path, n.data, 0o666)
	}
	if err := os.Mkdir(path, 0o777); err != nil {
		return err
	}
	for name, kid := range n.kids {
		if err := kid.write(filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) digest() [sha256.Size]byte {
	h := sha256.New()
	n.sum(func(s string) { h.Write([]byte(s)) }, "")
	return [sha256.Size]byte(h.Sum(nil))
}

func (n *node) sum(add func(string), path string) {
	add(fmt.Sprintf("%q %t %d %s", path, n.folder, len(n.data), n.data))
	names := make([]string, 0, len(n.kids))
	for name := range n.kids {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		n.kids[name].sum(add, path+"/"+name)
	}
}

// An effect is what an operation does to one file, or to the names in a folder.
type effect struct {
	op     int            // number of the operation
	inode  int            // the file or the folder
	names  map[string]int // of the folder; 0: no more
	at     int            // where data goes
	data   []byte
	cut    bool // to the size at, without data
	synced int  // number of the operation from which on it is there for sure
}

func (e *effect) folder() bool { return e.names != nil }

// effects returns what all operations do, and which inodes are folders. The first inode
// is that of the root.
func (r *Recorder) effects() (all []*effect, folders map[int]bool) {
	const never = 1 << 60
	v := &volume{root: r.Root, folders: map[int]bool{1: true}, names: map[int]map[string]int{1: {}},
		open: map[int64]*handle{}, size: map[int]int{}, next: 1}
	for i, op := range r.ops {
		var made []*effect
		switch op.Kind {
		case disk.KindSync, disk.KindSyncFolder:
			inode := 0
			if op.Kind == disk.KindSync {
				inode = v.open[op.File].inode
			} else {
				inode = v.find(op.Path)
			}
			for _, e := range all {
				if e.inode == inode && e.synced == never {
					e.synced = i
				}
			}
		case mark:
		default:
			made = v.do(op)
		}
		for _, e := range made {
			e.op, e.synced = i, never
			all = append(all, e)
		}
	}
	return all, v.folders
}

// A volume is the folder as the process sees it.
type volume struct {
	root    string
	folders map[int]bool
	names   map[int]map[string]int
	open    map[int64]*handle
	size    map[int]int
	next    int
}

type handle struct {
	inode, at int
	appends   bool
}

// find returns the inode at a path; 0: none.
func (v *volume) find(path string) int {
	rel, err := filepath.Rel(v.root, filepath.Clean(path))
	if err != nil {
		panic("disktest: invariant: " + err.Error())
	}
	inode := 1
	if rel == "." {
		return inode
	}
	for part := range strings.SplitSeq(rel, string(filepath.Separator)) {
		inode = v.names[inode][part]
	}
	return inode
}

// name changes names of a folder.
func (v *volume) name(folder int, names map[string]int) *effect {
	for name, inode := range names {
		if inode == 0 {
			delete(v.names[folder], name)
		} else {
			v.names[folder][name] = inode
		}
	}
	return &effect{inode: folder, names: names}
}

// do does an operation that has succeeded.
func (v *volume) do(op disk.Op) (made []*effect) {
	above, base := v.find(filepath.Dir(op.Path)), filepath.Base(op.Path)
	switch op.Kind {
	case disk.KindMkdir:
		v.next++
		v.folders[v.next], v.names[v.next] = true, map[string]int{}
		return []*effect{v.name(above, map[string]int{base: v.next})}
	case disk.KindOpen:
		inode := v.find(op.Path)
		if inode == 0 {
			v.next++
			inode = v.next
			made = append(made, v.name(above, map[string]int{base: inode}))
		}
		v.open[op.File] = &handle{inode: inode, appends: op.Flag&os.O_APPEND != 0}
		if op.Flag&os.O_TRUNC != 0 && v.size[inode] > 0 {
			v.size[inode] = 0
			made = append(made, &effect{inode: inode, cut: true})
		}
	case disk.KindWrite:
		h := v.open[op.File]
		if h.appends {
			h.at = v.size[h.inode]
		}
		made = append(made, &effect{inode: h.inode, at: h.at, data: op.Data})
		h.at += len(op.Data)
		v.size[h.inode] = max(v.size[h.inode], h.at)
	case disk.KindTruncate:
		h := v.open[op.File]
		v.size[h.inode] = int(op.Size)
		made = append(made, &effect{inode: h.inode, at: int(op.Size), cut: true})
	case disk.KindRename:
		to := filepath.Base(op.To)
		if filepath.Dir(op.To) != filepath.Dir(op.Path) {
			panic("disktest: invariant: a rename from folder to folder is not one change")
		}
		made = append(made, v.name(above, map[string]int{to: v.find(op.Path), base: 0}))
	case disk.KindRemove:
		made = append(made, v.name(above, map[string]int{base: 0}))
	case disk.KindRemoveAll:
		made = v.removeAll(above, base)
	}
	return made
}

// removeAll removes what is in a folder before the folder.
func (v *volume) removeAll(above int, name string) (made []*effect) {
	inode := v.names[above][name]
	if inode == 0 {
		return nil
	}
	kids := make([]string, 0, len(v.names[inode]))
	for kid := range v.names[inode] {
		kids = append(kids, kid)
	}
	slices.Sort(kids)
	for _, kid := range kids {
		made = append(made, v.removeAll(inode, kid)...)
	}
	return append(made, v.name(above, map[string]int{name: 0}))
}

// A variant decides what is kept of an effect that was not synced.
type variant struct {
	name string
	keep func(e *effect) part
}

func (v *variant) until(effects []*effect, n int) int {
	for i, e := range effects {
		if e.op >= n {
			return i
		}
	}
	return len(effects)
}

// A part of an effect.
type part int

const (
	nothing part = iota
	half         // of what was written
	zeros        // in the place of what was written: the size is there, the contents are not
	whole
)

// variants returns what may become of the first n operations.
func variants(effects []*effect, n int) []variant {
	var names []*effect // that were not synced
	inFolder := map[int]int{}
	contents := false
	for _, e := range effects {
		if e.op >= n || e.synced < n {
			continue
		}
		if e.folder() {
			names = append(names, e)
			inFolder[e.inode]++
		} else {
			contents = true
		}
	}
	decide := func(ofNames func(e *effect) bool, ofData part) func(e *effect) part {
		return func(e *effect) part {
			switch {
			case e.synced < n:
				return whole
			case !e.folder():
				return ofData
			case ofNames(e):
				return whole
			}
			return nothing
		}
	}
	all, none := func(*effect) bool { return true }, func(*effect) bool { return false }
	out := []variant{{"all is there", decide(all, whole)}}
	if contents {
		out = append(out, variant{"names without contents", decide(all, nothing)},
			variant{"names with half of the contents", decide(all, half)},
			variant{"names with zeros", decide(all, zeros)})
	}
	if len(names) == 0 {
		return out
	}
	out = append(out, variant{"only what was synced", decide(none, nothing)}, variant{"contents without names", decide(none, whole)})
	for k := 1; k < len(names); k++ {
		first := names[k]
		before := func(e *effect) bool { return e.op < first.op || e.op == first.op && slices.Index(names, e) < k }
		out = append(out, variant{fmt.Sprintf("the first %d of %d names", k, len(names)), decide(before, nothing)})
	}
	if len(inFolder) > 1 {
		for folder := range inFolder {
			only := func(e *effect) bool { return e.inode == folder }
			out = append(out, variant{fmt.Sprintf("names in folder %d alone", folder), decide(only, nothing)})
		}
	}
	return out
}

// replay makes the state of what is kept.
func replay(effects []*effect, folders map[int]bool, keep func(e *effect) part) *node {
	nodes := map[int]*node{}
	at := func(inode int) *node {
		n := nodes[inode]
		if n == nil {
			n = &node{folder: folders[inode], kids: map[string]*node{}}
			nodes[inode] = n
		}
		return n
	}
	for _, e := range effects {
		kept, n := keep(e), at(e.inode)
		if kept == nothing {
			continue
		}
		if e.folder() {
			for name, inode := range e.names {
				if inode == 0 {
					delete(n.kids, name)
				} else {
					n.kids[name] = at(inode)
				}
			}
			continue
		}
		data := e.data
		switch kept {
		case half:
			data = data[:len(data)/2]
		case zeros:
			data = make([]byte, len(data))
		}
		if grown := e.at + len(data) - len(n.data); grown > 0 {
			n.data = append(bytes.Clone(n.data), make([]byte, grown)...)
		}
		if e.cut {
			n.data = n.data[:e.at]
			continue
		}
		copy(n.data[e.at:], data)
	}
	return at(1)
}
