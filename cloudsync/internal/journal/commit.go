package journal

import (
	"context"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/sidelight/sidelight/internal/logkey"
)

// op is a piece of work for the writer.
type op struct {
	weight int
	apply  func(*writer) error
	// done gets the result when the transaction is on the disk.
	done chan error
}

// write has the writer do something and waits until it is durable.
func (j *Journal) write(ctx context.Context, weight int, apply func(*writer) error) error {
	o := op{weight: weight, apply: apply, done: make(chan error, 1)}
	select {
	case j.ops <- o:
	case <-j.ended:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-o.done:
		return err
	case <-j.ended:
		// The last flush may have been this one's.
		select {
		case err := <-o.done:
			return err
		default:
			return ErrClosed
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// gather collects what comes within a moment, so that many commits share one fsync.
func (j *Journal) gather(first op) []op {
	list, weight := []op{first}, first.weight
	timer := time.NewTimer(flushAfter)
	defer timer.Stop()
	for weight < flushWeight {
		select {
		case o := <-j.ops:
			list, weight = append(list, o), weight+o.weight
		case <-timer.C:
			return list
		}
	}
	return list
}

// flush writes all in one transaction, which is on the disk when it returns, and tidies up a little in the same.
func (j *Journal) flush(list []op) {
	var w *writer
	var t *tidy
	err := j.db.Update(func(tx *bolt.Tx) error {
		w = newWriter(j, tx)
		for _, o := range list {
			if err := o.apply(w); err != nil {
				return err
			}
		}
		if err := w.finish(); err != nil {
			return err
		}
		t = newTidy(j, tx, j.now())
		return t.all()
	})
	if err == nil {
		j.count(w, t)
		j.room.more = t.more
	} else {
		// What was given up in it was not.
		j.room.more, j.room.swept = false, 0
	}
	if err != nil {
		err = fmt.Errorf("the journal cannot write: %w (is there room on the disk of data_dir? max_size keeps the journal below what it has)", err)
		if j.broken.Swap(&err) == nil {
			j.deps.Log.Error("hits cannot be kept, and so are not acknowledged", logkey.Error, err)
		}
	} else {
		j.Flushes.Add(1)
		if j.broken.Swap(nil) != nil {
			j.deps.Log.Info("the journal writes again")
		}
	}
	for _, o := range list {
		o.done <- err
	}
	if err == nil && w.changed() {
		select {
		case j.changed <- struct{}{}:
		default:
		}
	}
}

// count tells what a transaction did, now that it is done.
func (j *Journal) count(w *writer, t *tidy) {
	j.Hits.Add(w.hits)
	j.Resent.Add(w.resent)
	j.Outcomes.Add(w.outcomes)
	j.Endpoints.Add(w.deltas)
	j.Forgotten.Add(t.forgotten)
	j.deps.Losses.Add("journal", "sampled_hits_dropped", t.samples)
	j.deps.Losses.Add("journal", "attacks_dropped", t.attacks)
	j.deps.Losses.Add("journal", "attacks_expired", t.expired)
	j.room.settle(j, w.added, t)
}
