// Package journal is the attack record of its cluster, on its own file: what it acknowledged is on disk. Many commits share
// one write, so that waiting for the disk costs little.
package journal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Buckets of the file.
var (
	// hits: exchange id, type, point → Hit and the attack's id.
	bucketHits = []byte("hits")
	// attacks: id → Attack.
	bucketAttacks = []byte("attacks")
	// groups: group key → ids of its newest attack.
	bucketGroups = []byte("groups")
	// attackChanges, endpointChanges: version → what has this version and waits for upload.
	bucketAttackChanges   = []byte("attack_changes")
	bucketEndpoints       = []byte("endpoints")
	bucketEndpointChanges = []byte("endpoint_changes")
)

const (
	// gather is how long a commit waits for company.
	gather   = 2 * time.Millisecond
	maxBatch = 512
	openWait = 5 * time.Second
)

// Journal is the file and the one goroutine that writes it.
type Journal struct {
	cluster string
	db      *bbolt.DB
	work    chan *commit
	changed chan struct{}

	closing chan struct{}
	done    sync.WaitGroup
}

// commit is one caller's wish and where the answer goes.
type commit struct {
	hits      []*detectionv1.Hit
	outcomes  []*detectionv1.OutcomeUpdate
	endpoints []*inventoryv1.EndpointDelta
	answer    chan error
}

// Open opens or makes the file; Close ends it.
func Open(dir, cluster string) (*Journal, error) {
	db, err := bbolt.Open(filepath.Join(dir, "journal.db"), 0o600, &bbolt.Options{Timeout: openWait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("opening the journal in %s: %w (is another cloudsync using it, and is the directory writable?)", dir, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketHits, bucketAttacks, bucketGroups, bucketAttackChanges, bucketEndpoints, bucketEndpointChanges} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("bucket %s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the journal: %w", err), db.Close())
	}
	j := &Journal{cluster: cluster, db: db, work: make(chan *commit, maxBatch), changed: make(chan struct{}, 1), closing: make(chan struct{})}
	j.done.Go(j.write)
	return j, nil
}

// Close writes what is under way and closes the file.
func (j *Journal) Close() error {
	close(j.closing)
	j.done.Wait()
	if err := j.db.Close(); err != nil {
		return fmt.Errorf("closing the journal: %w", err)
	}
	return nil
}

// Changed has a token whenever something waits for upload.
func (j *Journal) Changed() <-chan struct{} { return j.changed }

var errClosing = errors.New("the journal is closing")

// Commit returns when all of it is on disk. The same hits again change nothing.
func (j *Journal) Commit(ctx context.Context, hits []*detectionv1.Hit, outcomes []*detectionv1.OutcomeUpdate) error {
	return j.submit(ctx, &commit{hits: hits, outcomes: outcomes})
}

// PutEndpoints returns when all of it is on disk.
func (j *Journal) PutEndpoints(ctx context.Context, deltas []*inventoryv1.EndpointDelta) error {
	return j.submit(ctx, &commit{endpoints: deltas})
}

func (j *Journal) submit(ctx context.Context, c *commit) error {
	c.answer = make(chan error, 1)
	select {
	case j.work <- c:
	case <-j.closing:
		return errClosing
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-c.answer:
		return err
	case <-ctx.Done():
		// It may still be written; the caller will say it again, which changes nothing.
		return context.Cause(ctx)
	}
}

// write makes one transaction of the commits that come within a moment.
func (j *Journal) write() {
	for {
		select {
		case <-j.closing:
			j.refuse()
			return
		case first := <-j.work:
			j.flush(j.collect(first))
		}
	}
}

func (j *Journal) refuse() {
	for {
		select {
		case c := <-j.work:
			c.answer <- errClosing
		default:
			return
		}
	}
}

func (j *Journal) collect(first *commit) []*commit {
	batch := []*commit{first}
	timer := time.NewTimer(gather)
	defer timer.Stop()
	for n := len(first.hits); n < maxBatch; {
		select {
		case c := <-j.work:
			batch = append(batch, c)
			n += len(c.hits) + 1
		case <-timer.C:
			return batch
		}
	}
	return batch
}

func (j *Journal) flush(batch []*commit) {
	err := j.db.Update(func(tx *bbolt.Tx) error {
		w := newWriter(tx, j.cluster)
		for _, c := range batch {
			if err := w.apply(c); err != nil {
				return err
			}
		}
		return w.finish()
	})
	if err != nil {
		err = fmt.Errorf("writing the journal: %w", err)
	}
	for _, c := range batch {
		c.answer <- err
	}
	if err == nil {
		select {
		case j.changed <- struct{}{}:
		default:
		}
	}
}
