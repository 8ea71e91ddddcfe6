package observe

import (
	"context"
	"slices"
	"sync"
	"time"
)

// refresh is how often names are resolved anew: replicas come and go.
const refresh = 15 * time.Second

// fleet is all aggregators that there are, each with a stream of its own.
type fleet struct {
	// find gives their addresses now.
	find   func(ctx context.Context) ([]string, error)
	open   opener
	pauses pauses

	mu     sync.Mutex
	wanted []string
}

// run sends what all aggregators send. It ends with ctx, or with the first aggregator that says no.
func (f *fleet) run(ctx context.Context, events chan<- event) error {
	if err := f.resolve(ctx); err != nil {
		return err
	}
	var (
		streams sync.WaitGroup
		running = map[string]bool{}
		ended   = make(chan string)
		refused = make(chan error, 1)
		// A stream broke: its aggregator may have gone for good, and another come.
		broke = make(chan struct{}, 1)
	)
	defer streams.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	follow := func() {
		for _, address := range f.all() {
			if running[address] {
				continue
			}
			running[address] = true
			s := &stream{
				address: address, open: f.open, pauses: f.pauses, events: events,
				wanted: func() bool {
					select {
					case broke <- struct{}{}:
					default:
					}
					return slices.Contains(f.all(), address)
				},
			}
			streams.Go(func() {
				if err := s.run(ctx); err != nil {
					select {
					case refused <- err:
					default: // another said so first
					}
				}
				select {
				case ended <- address:
				case <-ctx.Done():
				}
			})
		}
	}
	follow()
	ticker := time.NewTicker(refresh)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-refused:
			return err
		case address := <-ended:
			delete(running, address)
			continue
		case <-broke:
		case <-ticker.C:
		}
		// Names that cannot be resolved now leave all as it is.
		if f.resolve(ctx) == nil {
			follow()
		}
	}
}

func (f *fleet) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wanted
}

func (f *fleet) resolve(ctx context.Context) error {
	all, err := f.find(ctx)
	if err != nil {
		return err
	}
	slices.Sort(all)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted = slices.Compact(all)
	return nil
}
