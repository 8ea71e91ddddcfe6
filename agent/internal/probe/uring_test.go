package probe

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is the least of io_uring that an echo server needs: one operation at a time.
type uring struct {
	fd                      int
	sqTail, sqMask, sqArray *uint32
	cqHead, cqMask          *uint32
	entries                 *[64]byte
	completions             unsafe.Pointer
}

const (
	uringOffSQ, uringOffCQ, uringOffEntries = 0, 0x8000000, 0x10000000
	uringSend, uringRecv                    = 26, 27
	uringGetEvents                          = 1
)

func newURing() (*uring, error) {
	var params struct {
		sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
		_                                                    [3]uint32
		sq                                                   struct {
			head, tail, mask, entries, flags, dropped, array, _ uint32
			_                                                   uint64
		}
		cq struct {
			head, tail, mask, entries, overflow, cqes, flags, _ uint32
			_                                                   uint64
		}
	}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", errno)
	}
	area := func(offset int64, size uint32) (unsafe.Pointer, error) {
		b, err := unix.Mmap(int(fd), offset, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return nil, err
		}
		return unsafe.Pointer(&b[0]), nil
	}
	sq, err := area(uringOffSQ, params.sq.array+params.sqEntries*4)
	if err != nil {
		return nil, err
	}
	cq, err := area(uringOffCQ, params.cq.cqes+params.cqEntries*16)
	if err != nil {
		return nil, err
	}
	entries, err := area(uringOffEntries, params.sqEntries*64)
	if err != nil {
		return nil, err
	}
	at := func(base unsafe.Pointer, offset uint32) *uint32 { return (*uint32)(unsafe.Add(base, offset)) }
	return &uring{
		fd: int(fd), sqTail: at(sq, params.sq.tail), sqMask: at(sq, params.sq.mask), sqArray: at(sq, params.sq.array),
		cqHead: at(cq, params.cq.head), cqMask: at(cq, params.cq.mask), entries: (*[64]byte)(entries), completions: unsafe.Add(cq, params.cq.cqes),
	}, nil
}

// do carries out one operation and gives its result.
func (r *uring) do(operation uint8, fd int, buf []byte) (int, error) {
	*r.entries = [64]byte{}
	r.entries[0] = operation
	*(*int32)(unsafe.Pointer(&r.entries[4])) = int32(fd)
	*(*uint64)(unsafe.Pointer(&r.entries[16])) = uint64(uintptr(unsafe.Pointer(&buf[0])))
	*(*uint32)(unsafe.Pointer(&r.entries[24])) = uint32(len(buf))
	*r.sqArray = 0
	atomic.AddUint32(r.sqTail, 1)
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), 1, 1, uringGetEvents, 0, 0); errno != 0 {
		return 0, fmt.Errorf("io_uring_enter: %w", errno)
	}
	head := atomic.LoadUint32(r.cqHead)
	result := *(*int32)(unsafe.Add(r.completions, uintptr(head&*r.cqMask)*16+8))
	atomic.AddUint32(r.cqHead, 1)
	if result < 0 {
		return 0, syscall.Errno(-result)
	}
	return int(result), nil
}

// echoURing reads and answers by io_uring, but for messages that begin with "call".
func echoURing(fd int) error {
	defer syscall.Close(fd)
	ring, err := newURing()
	if err != nil {
		return err
	}
	defer syscall.Close(ring.fd)
	buf := make([]byte, 1<<16)
	for {
		n, err := ring.do(uringRecv, fd, buf)
		if n <= 0 || err != nil {
			return err
		}
		if string(buf[:min(n, 4)]) == "call" {
			err = send("read-write", fd, buf[:n])
		} else {
			err = writeAll(buf[:n], func(b []byte) (int, error) { return ring.do(uringSend, fd, b) })
		}
		if err != nil {
			return err
		}
	}
}
