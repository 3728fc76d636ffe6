package collective

import "sync"

// An outbox sends slices in order, in a goroutine of its own, so that members
// that send to each other both go on to receive.
type outbox struct {
	mu    sync.Mutex
	more  sync.Cond
	queue [][]byte
	spare [][]byte // the other of two queues that are used in turn
	stop  bool
}

// push adds b to what is to be sent. It never waits: the queue is as long as the
// longest sum needs.
func (o *outbox) push(b []byte) {
	o.mu.Lock()
	o.queue = append(o.queue, b)
	o.mu.Unlock()
	o.more.Signal()
}

// run sends until close or an error, which it returns.
func (o *outbox) run(send func(b []byte) error) error {
	for {
		o.mu.Lock()
		for len(o.queue) == 0 && !o.stop {
			o.more.Wait()
		}
		batch := o.queue
		o.queue, o.spare = o.spare[:0], batch
		stop := o.stop
		o.mu.Unlock()
		if stop {
			return nil
		}
		for i, b := range batch {
			if err := send(b); err != nil {
				return err
			}
			batch[i] = nil
		}
	}
}

// close ends run, which may be in send until the link is closed.
func (o *outbox) close() {
	o.mu.Lock()
	o.stop = true
	o.mu.Unlock()
	o.more.Signal()
}
