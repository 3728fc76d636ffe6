package web

import (
	"runtime"
	"runtime/metrics"
	"runtime/pprof"

	"github.com/gespann/gespann/internal/clock"
)

// began is when this process did, all but a few milliseconds.
var began = clock.System{}.Now()

// process tells about this process, under the names that Prometheus's own libraries use.
// What a system does not tell is left out.
func (e *exposition) process() {
	e.begin("go_info", "gauge", "Version of Go; always 1.")
	e.add(1, "version", runtime.Version())
	e.one("go_goroutines", "gauge", "Goroutines of the process.", float64(runtime.NumGoroutine()))
	e.one("go_threads", "gauge", "Threads that the process has made.", float64(pprof.Lookup("threadcreate").Count()))
	e.one("go_sched_gomaxprocs_threads", "gauge", "Threads that may run Go code at once.", float64(runtime.GOMAXPROCS(0)))
	for _, m := range []struct{ name, kind, help, runtime string }{
		{"go_memstats_heap_alloc_bytes", "gauge", "Objects in the heap.", "/memory/classes/heap/objects:bytes"},
		{"go_memstats_sys_bytes", "gauge", "Memory that the Go runtime has from the system.", "/memory/classes/total:bytes"},
		{"go_memstats_alloc_bytes_total", "counter", "Objects that were ever allocated.", "/gc/heap/allocs:bytes"},
	} {
		sample := []metrics.Sample{{Name: m.runtime}}
		if metrics.Read(sample); sample[0].Value.Kind() == metrics.KindUint64 {
			e.one(m.name, m.kind, m.help, float64(sample[0].Value.Uint64()))
		}
	}
	e.one("process_start_time_seconds", "gauge", "When the process began, since 1970.", float64(began.UnixMilli())/1000)
	e.system()
}
