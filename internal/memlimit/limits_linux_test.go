package memlimit

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestBelow reads the files of systems of several kinds.
func TestBelow(t *testing.T) {
	const meminfo = "MemTotal:       1000 kB\nMemAvailable:    600 kB\nSwapFree:    100 kB\n"
	machine := Limit{700 << 10, "this machine has"}
	group := func(bytes int64) Limit { return Limit{bytes, "the control group of this process has"} }
	for name, c := range map[string]struct {
		files map[string]string
		want  []Limit
	}{
		"no files":   {nil, nil},
		"no groups":  {map[string]string{"proc/meminfo": meminfo}, []Limit{machine}},
		"old kernel": {map[string]string{"proc/meminfo": "MemTotal: 1000 kB\n"}, nil},
		"version 2": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/b/memory.current": "100\n",
			"sys/fs/cgroup/a/memory.max": "5000\n", "sys/fs/cgroup/a/memory.current": "2000\n",
			"sys/fs/cgroup/a/memory.stat": "anon 1\ninactive_file 300\nactive_file 200\n",
		}, []Limit{machine, group(3500)}},
		"version 2 in a container": {map[string]string{
			"proc/self/cgroup": "0::/docker/123\n", "sys/fs/cgroup/memory.max": "5000\n", "sys/fs/cgroup/memory.current": "6000\n",
		}, []Limit{group(-1000)}},
		"version 1": {map[string]string{
			"proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/job\n0::/\n",
			"sys/fs/cgroup/memory/job/memory.limit_in_bytes": "4096\n", "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "196\n",
			"sys/fs/cgroup/memory/job/memory.stat":       "active_file 7\ntotal_active_file 100\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "1\n",
		}, []Limit{group(4000)}},
		"junk": {map[string]string{
			"proc/meminfo": "\x00\nMemAvailable: x kB\n:\n", "proc/self/cgroup": "0\n::\n0::\n", "sys/fs/cgroup/memory.max": "many\n",
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range c.files {
				path = filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if got := below(root); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
