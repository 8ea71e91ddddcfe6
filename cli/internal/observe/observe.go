// Package observe is the verb `observe`: what passes, live and masked, from all aggregators at once.
package observe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/sidelight/sidelight/internal/render"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
)

const (
	// waiting bounds what is read ahead of the terminal. Behind it the aggregator's own queue drops and counts.
	waiting = 256
	// tellDropped is how often a reader that is too slow is told so.
	tellDropped = time.Second
)

// event is what an aggregator sent, or a note about one.
type event struct {
	response *aggregatorv1.TailResponse
	note     string
}

// printer writes one summary.
type printer interface {
	Print(w io.Writer, s *processorv1.Summary) error
}

// observer shows events and counts them.
type observer struct {
	out     *bufio.Writer
	notes   io.Writer
	print   printer
	twice   *dedupe
	seen    uint64
	attacks uint64
	dropped uint64
	untold  uint64
}

func newObserver(out, notes io.Writer, p printer) *observer {
	return &observer{out: bufio.NewWriter(out), notes: notes, print: p, twice: newDedupe(time.Now)}
}

// run shows what the source yields until it ends or ctx does, and then says how much it was.
func (o *observer) run(ctx context.Context, source func(context.Context, chan<- event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := make(chan event, waiting)
	ended := make(chan error, 1)
	go func() {
		defer close(events)
		ended <- source(ctx, events)
	}()
	ticker := time.NewTicker(tellDropped)
	defer ticker.Stop()
	var broken error
	for events := events; events != nil; {
		select {
		case <-ticker.C:
			o.tell()
		case e, open := <-events:
			if !open {
				events = nil
				break
			}
			if broken != nil {
				break
			}
			broken = o.show(e)
			if broken == nil && len(events) == 0 {
				broken = o.out.Flush()
			}
			if broken != nil {
				// Nobody reads any more.
				cancel()
			}
		}
	}
	if broken == nil {
		broken = o.out.Flush()
	}
	o.tell()
	fmt.Fprintf(o.notes, "seen %d, attacks %d, dropped %d\n", o.seen, o.attacks, o.dropped)
	if broken != nil {
		return fmt.Errorf("writing: %w", broken)
	}
	return <-ended
}

func (o *observer) show(e event) error {
	if e.note != "" {
		// What was seen before the note stands before it.
		if err := o.out.Flush(); err != nil {
			return err
		}
		// Errors of the other side may quote anything.
		fmt.Fprintln(o.notes, render.Terminal(e.note))
		return nil
	}
	o.dropped += e.response.GetDropped()
	o.untold += e.response.GetDropped()
	s := e.response.GetSummary()
	if s == nil || o.twice.Seen(s.GetExchangeId(), s.GetRevision()) {
		return nil
	}
	o.seen++
	if len(s.GetHits()) > 0 {
		o.attacks++
	}
	return o.print.Print(o.out, s)
}

// tell says what was lost since it last did.
func (o *observer) tell() {
	if o.untold > 0 {
		fmt.Fprintf(o.notes, "dropped %d summaries: they come faster than they can be shown; narrow the filter, or write to a file\n", o.untold)
		o.untold = 0
	}
}
