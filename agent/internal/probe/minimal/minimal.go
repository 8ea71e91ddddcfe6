// Package minimal captures the least that can be captured, for benchmarks to compare with.
package minimal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
)

// Capture copies the calls of these processes into a ring, and reads it every two milliseconds, until ctx ends.
func Capture(ctx context.Context, pids []uint32, ready func()) error {
	var objects minimalObjects
	if err := loadMinimalObjects(&objects, nil); err != nil {
		return fmt.Errorf("loading: %w", err)
	}
	defer objects.Close()
	for _, pid := range pids {
		if err := objects.Targets.Put(pid, uint8(1)); err != nil {
			return fmt.Errorf("selecting: %w", err)
		}
	}
	reader, err := ringbuf.NewReader(objects.Ring)
	if err != nil {
		return fmt.Errorf("opening the ring: %w", err)
	}
	defer reader.Close()
	attached, err := link.AttachTracing(link.TracingOptions{Program: objects.Minimal})
	if err != nil {
		return fmt.Errorf("attaching: %w", err)
	}
	defer attached.Close()
	ready()
	var record ringbuf.Record
	for ctx.Err() == nil {
		reader.SetDeadline(time.Now().Add(2 * time.Millisecond))
		for {
			if err := reader.ReadInto(&record); errors.Is(err, os.ErrDeadlineExceeded) {
				break
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}
