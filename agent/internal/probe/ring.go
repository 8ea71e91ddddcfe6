package probe

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ring reads records where they stand: they have room for more than a call moved, and to copy all of it costs more than to decode
// it. What it hands out holds until the kernel is told that it was read.
type ring struct {
	positions, memory []byte
	// consumed and produced are in that memory; they only grow.
	consumed, produced *atomic.Uint64
	data               []byte
	// torn holds a record of which the end stands at the ring's beginning.
	torn []byte

	epoll, bell int
	ended       atomic.Bool
	// users may look at the memory. It goes with the last of them.
	users atomic.Int32
}

// A record's header and its flags, of linux/bpf.h.
const (
	recordHeader  = 8
	recordBusy    = 1 << 31
	recordDiscard = 1 << 30
)

// tellEvery is how many bytes are handed on before the programs may write over them. To say so for each record would move a cache
// line to and fro between this processor and those that mirrored processes run on.
const tellEvery = 64 << 10

func openRing(m *ebpf.Map) (_ *ring, err error) {
	page, size := os.Getpagesize(), int(m.MaxEntries())
	r := &ring{epoll: -1, bell: -1}
	r.users.Store(1)
	defer func() {
		if err != nil {
			r.done()
		}
	}()
	if r.positions, err = unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("mapping the ring buffer's positions: %w", err)
	}
	// The kernel has the records twice, one behind the other, so that none is cut in two. Once is half the memory.
	if r.memory, err = unix.Mmap(m.FD(), int64(page), page+size, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("mapping the ring buffer: %w", err)
	}
	r.data = r.memory[page:]
	r.consumed = (*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(r.positions))) //nolint:gosec // the kernel's, too
	r.produced = (*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(r.memory)))    //nolint:gosec // the kernel's, too
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("waiting for the ring buffer: %w", err)
	}
	if r.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("waiting for the ring buffer: %w", err)
	}
	// Once for each time that a program wakes the reader, and not for as long as there is something to read.
	for fd, events := range map[int]uint32{m.FD(): unix.EPOLLIN | unix.EPOLLET, r.bell: unix.EPOLLIN} {
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
			return nil, fmt.Errorf("waiting for the ring buffer: %w", err)
		}
	}
	return r, nil
}

// use says whether the memory is still there; whoever uses it says when that is done.
func (r *ring) use() bool {
	for {
		n := r.users.Load()
		if n == 0 {
			return false
		}
		if r.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (r *ring) done() {
	if r.users.Add(-1) > 0 {
		return
	}
	for _, mapped := range [][]byte{r.positions, r.memory} {
		if mapped != nil {
			_ = unix.Munmap(mapped)
		}
	}
	for _, fd := range []int{r.epoll, r.bell} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// wake ends the waiting of whoever waits, now and from now on.
func (r *ring) wake() {
	if r.use() {
		_, _ = unix.Write(r.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		r.done()
	}
}

// close is for the one that opened it. Who reads it ends soon.
func (r *ring) close() {
	if !r.ended.Swap(true) {
		r.wake()
		r.done()
	}
}

// wait returns when a program wakes the reader, or after a time.
func (r *ring) wait(most time.Duration) error {
	var events [2]unix.EpollEvent
	millis := int((most + time.Millisecond - 1) / time.Millisecond)
	if _, err := unix.EpollWait(r.epoll, events[:], millis); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("waiting for the ring buffer: %w", err)
	}
	return nil
}

// waiting counts bytes that were not read.
func (r *ring) waiting() uint64 {
	if !r.use() {
		return 0
	}
	defer r.done()
	consumed := r.consumed.Load()
	return r.produced.Load() - consumed
}

// drain hands on what is there now, each record until take returns. `all` is false where one is still being written.
func (r *ring) drain(take func(raw []byte)) (n int, all bool) {
	at, end := r.consumed.Load(), r.produced.Load()
	told, size := at, uint64(len(r.data))
	all = true
	for at < end {
		start := at % size
		header := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[start]))) //nolint:gosec // the kernel sets it last
		if header&recordBusy != 0 {
			all = false
			break
		}
		length := uint64(header &^ (recordBusy | recordDiscard))
		if header&recordDiscard == 0 {
			take(r.record(start+recordHeader, length))
			n++
		}
		if at += recordHeader + (length+7)&^7; at-told >= tellEvery {
			r.consumed.Store(at)
			told = at
		}
	}
	if at != told {
		r.consumed.Store(at)
	}
	return n, all
}

func (r *ring) record(start, length uint64) []byte {
	size := uint64(len(r.data))
	if start+length <= size {
		return r.data[start : start+length : start+length]
	}
	start %= size
	r.torn = append(append(r.torn[:0], r.data[start:min(size, start+length)]...), r.data[:max(size, start+length)-size]...)
	return r.torn
}
