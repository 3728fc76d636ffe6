package rpc

import (
	"context"
	"os"
	"strconv"

	"google.golang.org/grpc/metadata"

	"github.com/gespann/gespann/dist/rpc/lane"
)

// laneTaken is the answer to an offer. No answer: the lane could not be opened, and all
// goes over the stream.
const laneTaken = "taken"

// offerLane makes a lane for a stream of a unix socket, and says so in the stream's
// metadata. The caller settles, with the header of the answer, or nil.
func (ch *channel) offerLane(role Role, md metadata.MD) (settle func(header metadata.MD) *lane.Lane) {
	if role == Client || !ch.line.local() {
		return func(metadata.MD) *lane.Lane { return nil }
	}
	l, file, err := lane.New()
	if err != nil {
		return func(metadata.MD) *lane.Lane { return nil }
	}
	md.Set(keyLane, strconv.Itoa(int(file.Fd())))
	return func(header metadata.MD) *lane.Lane {
		file.Close()
		if one(header, keyLane) != laneTaken || !ch.line.addLane(l) {
			l.Close()
			return nil
		}
		return l
	}
}

// takeLane opens the lane that is offered to a stream, or returns nil.
func (l *line) takeLane(ctx context.Context) *lane.Lane {
	md, _ := metadata.FromIncomingContext(ctx)
	fd, err := strconv.Atoi(one(md, keyLane))
	if err != nil || fd < 0 || !l.local() {
		return nil
	}
	shared, err := lane.Open(l.process(), fd)
	if err != nil {
		return nil
	}
	if !l.addLane(shared) {
		shared.Close()
		return nil
	}
	return shared
}

// addLane has a lane end with the line, and reports whether that still lasts.
func (l *line) addLane(shared *lane.Lane) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lanes == nil {
		return false
	}
	l.lanes[shared] = true
	return true
}

// closeLane ends a lane, if it is one.
func (l *line) closeLane(shared *lane.Lane) {
	if shared == nil {
		return
	}
	l.mu.Lock()
	delete(l.lanes, shared)
	l.mu.Unlock()
	shared.Close()
}

// closeLanes ends all.
func (l *line) closeLanes() {
	l.mu.Lock()
	lanes := l.lanes
	l.lanes = nil
	l.mu.Unlock()
	for shared := range lanes {
		shared.Close()
	}
}

// local reports whether the other side is a process of this machine and this account: a
// lane is a file of that process, which this one opens.
func (l *line) local() bool {
	pid, uid, ok := ownerOf(l.Conn)
	return ok && pid > 0 && uid == os.Geteuid()
}
