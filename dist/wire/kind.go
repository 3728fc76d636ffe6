package wire

import "fmt"

// A Source is who says a message: a sum of these.
type Source uint8

// The sources. Signs of life and farewells may come from everyone.
const (
	FromWorker Source = 1 << iota
	FromCoordinator
	FromDriver
	FromClient
	FromAnyone = FromWorker | FromCoordinator | FromDriver | FromClient
)

// kinds has who may send a message of each kind, and makes an empty one. A kind
// travels as its row: rows are added at the end, and none is removed while Protocol
// stays the same.
var kinds = []struct {
	from  Source
	empty func() Message
}{
	{FromWorker, func() Message { return new(Hello) }},
	{FromWorker, func() Message { return new(Opened) }},
	{FromWorker, func() Message { return new(NeedData) }},
	{FromWorker, func() Message { return new(Loaded) }},
	{FromWorker, func() Message { return new(State) }},
	{FromWorker, func() Message { return new(Ran) }},
	{FromWorker, func() Message { return new(Broken) }},
	{FromWorker, func() Message { return new(Aborted) }},
	{FromWorker, func() Message { return new(Failed) }},
	{FromWorker, func() Message { return new(Commit) }},
	{FromWorker, func() Message { return new(Evaluated) }},
	{FromAnyone, func() Message { return new(Beat) }},
	{FromCoordinator, func() Message { return new(Welcome) }},
	{FromCoordinator, func() Message { return new(Open) }},
	{FromCoordinator | FromDriver, func() Message { return new(Rows) }},
	{FromCoordinator, func() Message { return new(Load) }},
	{FromCoordinator, func() Message { return new(Fetch) }},
	{FromCoordinator, func() Message { return new(Form) }},
	{FromCoordinator, func() Message { return new(Run) }},
	{FromCoordinator | FromDriver, func() Message { return new(Stop) }},
	{FromCoordinator, func() Message { return new(Abort) }},
	{FromCoordinator, func() Message { return new(Lease) }},
	{FromCoordinator, func() Message { return new(Merged) }},
	{FromCoordinator, func() Message { return new(Evaluate) }},
	{FromAnyone, func() Message { return new(Close) }},
	{FromAnyone, func() Message { return new(Ping) }},
	{FromAnyone, func() Message { return new(Dismiss) }},
	{FromDriver, func() Message { return new(Attach) }},
	{FromCoordinator, func() Message { return new(Queued) }},
	{FromCoordinator, func() Message { return new(Attached) }},
	{FromDriver, func() Message { return new(Restore) }},
	{FromCoordinator, func() Message { return new(Restored) }},
	{FromDriver, func() Message { return new(Probe) }},
	{FromCoordinator, func() Message { return new(Probed) }},
	{FromDriver, func() Message { return new(Train) }},
	{FromCoordinator, func() Message { return new(Progress) }},
	{FromCoordinator, func() Message { return new(Trained) }},
	{FromCoordinator, func() Message { return new(Lost) }},
	{FromCoordinator, func() Message { return new(Fault) }},
	{FromDriver, func() Message { return new(Snapshot) }},
	{FromCoordinator, func() Message { return new(Variables) }},
	{FromDriver, func() Message { return new(Test) }},
	{FromCoordinator, func() Message { return new(Tested) }},
	{FromCoordinator, func() Message { return new(WantRows) }},
	{FromDriver, func() Message { return new(Bill) }},
	{FromCoordinator, func() Message { return new(Billed) }},
	{FromDriver, func() Message { return new(Detach) }},
	{FromClient, func() Message { return new(Visit) }},
	{FromClient, func() Message { return new(Submit) }},
	{FromClient, func() Message { return new(List) }},
	{FromClient, func() Message { return new(Show) }},
	{FromClient, func() Message { return new(Logs) }},
	{FromClient, func() Message { return new(CancelJob) }},
	{FromClient, func() Message { return new(FetchFiles) }},
	{FromClient, func() Message { return new(Prune) }},
	{FromCoordinator, func() Message { return new(Visited) }},
	{FromCoordinator, func() Message { return new(Submitted) }},
	{FromCoordinator, func() Message { return new(Listed) }},
	{FromCoordinator, func() Message { return new(Shown) }},
	{FromCoordinator, func() Message { return new(Log) }},
	{FromCoordinator, func() Message { return new(Cancelled) }},
	{FromCoordinator | FromClient, func() Message { return new(File) }},
	{FromCoordinator, func() Message { return new(FilesEnd) }},
	{FromCoordinator, func() Message { return new(Pruned) }},
	{FromCoordinator, func() Message { return new(Refused) }},
	{FromCoordinator, func() Message { return new(Warned) }},
	{FromCoordinator, func() Message { return new(Ready) }},
	{FromWorker, func() Message { return new(Leave) }},
}

// numbers are the indices in kinds, by kind.
var numbers = func() map[string]uint16 {
	m := make(map[string]uint16, len(kinds))
	for i, k := range kinds {
		m[k.empty().Kind()] = uint16(i)
	}
	if len(m) != len(kinds) {
		panic(fmt.Sprintf("wire: invariant: %d names for %d kinds", len(m), len(kinds)))
	}
	return m
}()

// Kinds returns the names of all kinds, in the order of their numbers.
func Kinds() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.empty().Kind()
	}
	return names
}

// New returns an empty message of a kind, or nil when there is no such kind.
func New(kind string) Message {
	i, ok := numbers[kind]
	if !ok {
		return nil
	}
	return kinds[i].empty()
}

// Kind returns "hello".
func (*Hello) Kind() string { return "hello" }

// Kind returns "opened".
func (*Opened) Kind() string { return "opened" }

// Kind returns "need_data".
func (*NeedData) Kind() string { return "need_data" }

// Kind returns "loaded".
func (*Loaded) Kind() string { return "loaded" }

// Kind returns "state".
func (*State) Kind() string { return "state" }

// Kind returns "ran".
func (*Ran) Kind() string { return "ran" }

// Kind returns "broken".
func (*Broken) Kind() string { return "broken" }

// Kind returns "aborted".
func (*Aborted) Kind() string { return "aborted" }

// Kind returns "failed".
func (*Failed) Kind() string { return "failed" }

// Kind returns "commit".
func (*Commit) Kind() string { return "commit" }

// Kind returns "evaluated".
func (*Evaluated) Kind() string { return "evaluated" }

// Kind returns "beat".
func (*Beat) Kind() string { return "beat" }

// Kind returns "welcome".
func (*Welcome) Kind() string { return "welcome" }

// Kind returns "open".
func (*Open) Kind() string { return "open" }

// Kind returns "rows".
func (*Rows) Kind() string { return "rows" }

// Kind returns "load".
func (*Load) Kind() string { return "load" }

// Kind returns "fetch".
func (*Fetch) Kind() string { return "fetch" }

// Kind returns "form".
func (*Form) Kind() string { return "form" }

// Kind returns "run".
func (*Run) Kind() string { return "run" }

// Kind returns "stop".
func (*Stop) Kind() string { return "stop" }

// Kind returns "abort".
func (*Abort) Kind() string { return "abort" }

// Kind returns "lease".
func (*Lease) Kind() string { return "lease" }

// Kind returns "merged".
func (*Merged) Kind() string { return "merged" }

// Kind returns "evaluate".
func (*Evaluate) Kind() string { return "evaluate" }

// Kind returns "close".
func (*Close) Kind() string { return "close" }

// Kind returns "ping".
func (*Ping) Kind() string { return "ping" }

// Kind returns "dismiss".
func (*Dismiss) Kind() string { return "dismiss" }

// Kind returns "leave".
func (*Leave) Kind() string { return "leave" }

// Kind returns "attach".
func (*Attach) Kind() string { return "attach" }

// Kind returns "queued".
func (*Queued) Kind() string { return "queued" }

// Kind returns "attached".
func (*Attached) Kind() string { return "attached" }

// Kind returns "restore".
func (*Restore) Kind() string { return "restore" }

// Kind returns "restored".
func (*Restored) Kind() string { return "restored" }

// Kind returns "probe".
func (*Probe) Kind() string { return "probe" }

// Kind returns "probed".
func (*Probed) Kind() string { return "probed" }

// Kind returns "train".
func (*Train) Kind() string { return "train" }

// Kind returns "progress".
func (*Progress) Kind() string { return "progress" }

// Kind returns "trained".
func (*Trained) Kind() string { return "trained" }

// Kind returns "warned".
func (*Warned) Kind() string { return "warned" }

// Kind returns "lost".
func (*Lost) Kind() string { return "lost" }

// Kind returns "fault".
func (*Fault) Kind() string { return "fault" }

// Kind returns "snapshot".
func (*Snapshot) Kind() string { return "snapshot" }

// Kind returns "variables".
func (*Variables) Kind() string { return "variables" }

// Kind returns "test".
func (*Test) Kind() string { return "test" }

// Kind returns "tested".
func (*Tested) Kind() string { return "tested" }

// Kind returns "want_rows".
func (*WantRows) Kind() string { return "want_rows" }

// Kind returns "bill".
func (*Bill) Kind() string { return "bill" }

// Kind returns "billed".
func (*Billed) Kind() string { return "billed" }

// Kind returns "detach".
func (*Detach) Kind() string { return "detach" }

// Kind returns "visit".
func (*Visit) Kind() string { return "visit" }

// Kind returns "submit".
func (*Submit) Kind() string { return "submit" }

// Kind returns "list".
func (*List) Kind() string { return "list" }

// Kind returns "show".
func (*Show) Kind() string { return "show" }

// Kind returns "logs".
func (*Logs) Kind() string { return "logs" }

// Kind returns "cancel_job".
func (*CancelJob) Kind() string { return "cancel_job" }

// Kind returns "fetch_files".
func (*FetchFiles) Kind() string { return "fetch_files" }

// Kind returns "prune".
func (*Prune) Kind() string { return "prune" }

// Kind returns "visited".
func (*Visited) Kind() string { return "visited" }

// Kind returns "submitted".
func (*Submitted) Kind() string { return "submitted" }

// Kind returns "listed".
func (*Listed) Kind() string { return "listed" }

// Kind returns "shown".
func (*Shown) Kind() string { return "shown" }

// Kind returns "log".
func (*Log) Kind() string { return "log" }

// Kind returns "cancelled".
func (*Cancelled) Kind() string { return "cancelled" }

// Kind returns "file".
func (*File) Kind() string { return "file" }

// Kind returns "files_end".
func (*FilesEnd) Kind() string { return "files_end" }

// Kind returns "pruned".
func (*Pruned) Kind() string { return "pruned" }

// Kind returns "refused".
func (*Refused) Kind() string { return "refused" }

// Kind returns "ready".
func (*Ready) Kind() string { return "ready" }
