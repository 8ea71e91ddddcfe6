package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/cloudsync/internal/group"
)

const (
	// budget bounds the entries that one transaction gives up, so that no commit waits long. A flush brings fewer.
	budget = 4096
	// chunk is how many are looked up before any of them is deleted: a cursor must not see its own deletions.
	chunk = 256
	// For resendsFor a hit that no attack shows is still known when it comes again; for resendsLeast if room is short.
	resendsFor   = 10 * time.Minute
	resendsLeast = time.Minute
)

// tidy gives up what is over the retention, and over the size in the order of steps.
type tidy struct {
	j   *Journal
	tx  *bolt.Tx
	now time.Time
	// used is the size before, freed the bytes of entries since, left what the budget still has.
	used, freed int64
	left        int
	// more: there is more to do than the budget had; stuck: nothing is left that may go, and it is not enough.
	more, stuck bool
	// What to count when the transaction is done.
	forgotten, samples, attacks, expired int64
}

// step is one kind of thing to give up. It tells whether it got to its end.
type step func(t *tidy) (bool, error)

// steps are in order of what a person misses least. What the console does not have goes last.
var steps = []step{
	func(t *tidy) (bool, error) { return t.forget(resendsFor, t.enough) },
	func(t *tidy) (bool, error) { return t.sweep(t.j.reached(t.tx)) },
	func(t *tidy) (bool, error) { return t.forget(resendsLeast, t.enough) },
	func(t *tidy) (bool, error) { return t.dropUpTo(t.j.reached(t.tx)) },
	func(t *tidy) (bool, error) { return t.sweep(math.MaxUint64) },
	func(t *tidy) (bool, error) { return t.dropUpTo(math.MaxUint64) },
	func(t *tidy) (bool, error) { return t.forget(0, t.enough) },
}

func newTidy(j *Journal, tx *bolt.Tx, now time.Time) *tidy {
	return &tidy{j: j, tx: tx, now: now, used: used(tx), left: budget}
}

// over is how much is over the bound, or over its lower mark once giving up began.
func (t *tidy) over() int64 {
	switch {
	case t.j.cfg.MaxSize == 0:
		return 0
	case t.j.room.fitting:
		return t.used - t.freed - t.j.room.credit - t.j.low()
	}
	return t.used - t.freed - t.j.room.credit - t.j.cfg.MaxSize
}

func (t *tidy) enough() bool { return t.over() <= 0 }

func (t *tidy) all() error {
	if t.j.cfg.Retention > 0 {
		if err := t.expire(); err != nil {
			return err
		}
	}
	if t.enough() {
		t.j.room.fitting = false
		return nil
	}
	t.j.room.fitting = true
	for _, s := range steps {
		end, err := s(t)
		if err != nil {
			return fmt.Errorf("making room: %w", err)
		}
		if t.enough() {
			t.j.room.fitting = false
			return nil
		}
		if !end {
			t.more = true
			return nil
		}
	}
	t.stuck = true
	return nil
}

// expire drops attacks whose last change is over the retention, and hits that are only known.
func (t *tidy) expire() error {
	cursor := t.tx.Bucket(bucketChanges).Cursor()
	var ids [][]byte
	for k, entry := cursor.First(); k != nil && len(ids) < chunk; k, entry = cursor.Next() {
		id, at := readChange(entry)
		if !t.old(t.tx, id, at) {
			break
		}
		ids = append(ids, bytes.Clone(id))
	}
	for _, id := range ids {
		if err := t.drop(id, &t.expired); err != nil {
			return err
		}
	}
	end, err := t.forget(t.j.cfg.Retention, func() bool { return false })
	t.more = t.more || len(ids) == chunk || !end
	return err
}

// forget deletes hits that are only kept to be known when they come again, the first that came first. What came before this
// process began may be sent again by those who got no answer: so ages count from there at the most.
func (t *tidy) forget(age time.Duration, enough func() bool) (bool, error) {
	before := t.now.Add(-age)
	if age > 0 && age <= resendsFor && before.Before(t.j.room.began) {
		return true, nil
	}
	spare, hits := t.tx.Bucket(bucketSpare), t.tx.Bucket(bucketHits)
	for t.left > 0 && !enough() {
		cursor := spare.Cursor()
		var stamps, keys [][]byte
		size := int64(0)
		for k, key := cursor.First(); k != nil && len(keys) < min(chunk, t.left) && !arrival(k).After(before); k, key = cursor.Next() {
			stamps, keys = append(stamps, bytes.Clone(k)), append(keys, bytes.Clone(key))
			size += entrySize(k, key)
		}
		if len(keys) == 0 {
			return true, nil
		}
		for i, key := range keys {
			size += entrySize(key, hits.Get(key))
			if err := hits.Delete(key); err != nil {
				return false, err
			}
			if err := spare.Delete(stamps[i]); err != nil {
				return false, err
			}
		}
		t.freed += size
		t.left -= len(keys)
		t.forgotten += int64(len(keys))
	}
	return enough(), nil
}

// sweep takes the samples of attacks, those first whose last change was first, up to a version. Their counts stay.
func (t *tidy) sweep(limit uint64) (bool, error) {
	for t.left > 0 && !t.enough() {
		ids, last, end := t.changes(t.j.room.swept+1, limit)
		for i, id := range ids {
			if t.enough() {
				// The rest keeps its samples.
				return true, nil
			}
			a, err := t.attack(id)
			if err != nil {
				return false, err
			}
			t.left--
			t.j.room.swept = last[i]
			if len(a.GetSamples()) == 0 {
				continue
			}
			t.samples += int64(len(a.GetSamples()))
			if err := t.strip(a); err != nil {
				return false, err
			}
			data, err := proto.Marshal(a)
			if err != nil {
				return false, fmt.Errorf("encoding attack %s: %w", id, err)
			}
			// Under its old version: the console has the samples, and shall keep them.
			if err := t.tx.Bucket(bucketAttacks).Put(id, data); err != nil {
				return false, err
			}
		}
		if end {
			return true, nil
		}
	}
	return false, nil
}

// changes gives a chunk of attacks from a version on, with their versions, and whether those were the last up to a limit.
func (t *tidy) changes(from, limit uint64) (ids [][]byte, versions []uint64, end bool) {
	cursor := t.tx.Bucket(bucketChanges).Cursor()
	for k, entry := cursor.Seek(binary.BigEndian.AppendUint64(nil, from)); k != nil; k, entry = cursor.Next() {
		version := binary.BigEndian.Uint64(k)
		if version > limit {
			return ids, versions, true
		}
		if len(ids) == chunk {
			return ids, versions, false
		}
		id, _ := readChange(entry)
		ids, versions = append(ids, bytes.Clone(id)), append(versions, version)
	}
	return ids, versions, true
}

// dropUpTo drops attacks whole, those first whose last change was first.
func (t *tidy) dropUpTo(limit uint64) (bool, error) {
	for t.left > 0 && !t.enough() {
		ids, _, end := t.changes(0, limit)
		for _, id := range ids {
			if t.left <= 0 || t.enough() {
				return false, nil
			}
			if err := t.drop(id, &t.attacks); err != nil {
				return false, err
			}
		}
		if end && t.left > 0 {
			return true, nil
		}
	}
	return false, nil
}

// drop takes an attack out of the journal; its hits are still known. With more clients than the budget has, it stays until
// the next transaction.
func (t *tidy) drop(id []byte, counted *int64) error {
	a, err := t.attack(id)
	if err != nil {
		return err
	}
	if done, err := t.dropClients(id); err != nil || !done {
		return err
	}
	if err := t.strip(a); err != nil {
		return err
	}
	type entry struct{ bucket, key []byte }
	entries := []entry{{bucketChanges, binary.BigEndian.AppendUint64(nil, a.GetVersion())}, {bucketAttacks, id}}
	if a.GetHitCount() > 0 {
		entries = append(entries, entry{bucketByKey, keyEntry(group.KeyOfAttack(a).Hash(), a.GetFirstSeen().AsTime())}, entry{bucketByTime, timeEntry(a)})
	}
	for _, e := range entries {
		b := t.tx.Bucket(e.bucket)
		t.freed += entrySize(e.key, b.Get(e.key))
		if err := b.Delete(e.key); err != nil {
			return err
		}
	}
	t.left--
	if a.GetHitCount() > 0 {
		// One that went on as part of another is no loss.
		*counted++
	}
	return nil
}

func (t *tidy) dropClients(id []byte) (bool, error) {
	b := t.tx.Bucket(bucketClients)
	var keys [][]byte
	cursor := b.Cursor()
	for k, _ := cursor.Seek(id); bytes.HasPrefix(k, id); k, _ = cursor.Next() {
		if len(keys) >= t.left {
			break
		}
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		t.freed += entrySize(k, nil)
		if err := b.Delete(k); err != nil {
			return false, err
		}
	}
	t.left -= len(keys)
	return t.left > 0, nil
}

// strip takes an attack's samples; the hits are still known.
func (t *tidy) strip(a *detectionv1.Attack) error {
	for _, ref := range a.GetSamples() {
		gives, err := t.j.stripStored(t.tx, hitKey(ref.GetExchangeId(), a.GetType(), a.GetPoint()))
		if err != nil {
			return err
		}
		t.freed += gives
		t.left--
	}
	a.Samples = nil
	return nil
}

func (t *tidy) attack(id []byte) (*detectionv1.Attack, error) {
	a := &detectionv1.Attack{}
	if err := proto.Unmarshal(t.tx.Bucket(bucketAttacks).Get(id), a); err != nil {
		return nil, fmt.Errorf("attack %s cannot be read: %w", id, err)
	}
	return a, nil
}
