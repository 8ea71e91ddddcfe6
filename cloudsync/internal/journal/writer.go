package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/cloudsync/internal/group"
)

// writer is one transaction's view of the attacks: each is read once, changed in memory, and written at the end.
type writer struct {
	j    *Journal
	tx   *bolt.Tx
	open map[string]*openAttack
	now  time.Time
	// counts are added to the journal's when the transaction is done; deltas are new endpoints, added is bytes.
	hits, resent, outcomes, deltas, added int64
}

// openAttack is an attack and what the indexes say of it.
type openAttack struct {
	attack *detectionv1.Attack
	key    [16]byte
	dirty  bool
	// byKey, byTime and version are the index entries that exist; nil and 0 without.
	byKey, byTime []byte
	version       uint64
	// merged: it is part of another attack now, and only its end is told.
	merged bool
}

func newWriter(j *Journal, tx *bolt.Tx) *writer {
	return &writer{j: j, tx: tx, open: map[string]*openAttack{}, now: j.now()}
}

// Around finds the neighbours of a moment among the attacks of a key.
func (w *writer) Around(k group.Key, t time.Time) (before, after *detectionv1.Attack, err error) {
	hash := k.Hash()
	cursor := w.tx.Bucket(bucketByKey).Cursor()
	at := keyEntry(hash, t)
	found, id := cursor.Seek(at)
	// Seek stops at the first entry that is not smaller: at the moment itself, or behind it.
	if found != nil && bytes.Equal(found, at) {
		if before, err = w.load(id, hash); err != nil {
			return nil, nil, err
		}
		found, id = cursor.Next()
	}
	if found != nil && bytes.HasPrefix(found, hash[:]) {
		if after, err = w.load(id, hash); err != nil {
			return nil, nil, err
		}
	}
	if before == nil {
		// Behind the last entry Seek finds nothing, and bbolt does not promise where Prev goes from there.
		if found, _ = cursor.Seek(at); found != nil {
			found, id = cursor.Prev()
		} else {
			found, id = cursor.Last()
		}
		if found != nil && bytes.HasPrefix(found, hash[:]) {
			if before, err = w.load(id, hash); err != nil {
				return nil, nil, err
			}
		}
	}
	return before, after, nil
}

func (w *writer) load(id []byte, key [16]byte) (*detectionv1.Attack, error) {
	if o, ok := w.open[string(id)]; ok {
		return o.attack, nil
	}
	a := &detectionv1.Attack{}
	if err := proto.Unmarshal(w.tx.Bucket(bucketAttacks).Get(id), a); err != nil {
		return nil, fmt.Errorf("attack %s cannot be read: %w", id, err)
	}
	if a.GetId() == "" {
		return nil, fmt.Errorf("attack %s is in an index and not in the journal", id)
	}
	w.open[a.GetId()] = &openAttack{
		attack: a, key: key, version: a.GetVersion(), byKey: keyEntry(key, a.GetFirstSeen().AsTime()), byTime: timeEntry(a),
	}
	return a, nil
}

// Save keeps a new or changed attack. Where it begins is known to the rest of this transaction at once.
func (w *writer) Save(k group.Key, a *detectionv1.Attack) error {
	if a.GetId() == "" {
		n, err := w.tx.Bucket(bucketAttacks).NextSequence()
		if err != nil {
			return err
		}
		a.Id, a.Cluster = fmt.Sprintf("%s%08x", w.j.epoch, n), w.j.cfg.Cluster
		w.open[a.GetId()] = &openAttack{attack: a, key: k.Hash()}
	}
	o := w.open[a.GetId()]
	o.dirty = true
	return w.index(o)
}

// index brings the entry by key up to date.
func (w *writer) index(o *openAttack) error {
	entry := keyEntry(o.key, o.attack.GetFirstSeen().AsTime())
	if bytes.Equal(entry, o.byKey) {
		return nil
	}
	b := w.tx.Bucket(bucketByKey)
	if o.byKey != nil {
		if err := b.Delete(o.byKey); err != nil {
			return err
		}
	}
	o.byKey = entry
	return b.Put(entry, []byte(o.attack.GetId()))
}

// Absorb moves the clients over and takes the attack that ends out of the indexes.
func (w *writer) Absorb(_ group.Key, into, from *detectionv1.Attack) (uint64, error) {
	gone := w.open[from.GetId()]
	gone.merged, gone.dirty = true, true
	if err := w.tx.Bucket(bucketByKey).Delete(gone.byKey); err != nil {
		return 0, err
	}
	b := w.tx.Bucket(bucketClients)
	count := into.GetClientCount()
	prefix := []byte(from.GetId())
	var entries [][]byte
	cursor := b.Cursor()
	for k, _ := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = cursor.Next() {
		entries = append(entries, bytes.Clone(k))
	}
	for _, k := range entries {
		if err := b.Delete(k); err != nil {
			return 0, err
		}
		fresh, err := w.Client(into, string(k[len(prefix):]))
		if err != nil {
			return 0, err
		}
		if fresh {
			count++
		}
	}
	return count, nil
}

// Client notes a client of an attack. Ids have one length, so that no id is the beginning of another.
func (w *writer) Client(a *detectionv1.Attack, address string) (bool, error) {
	b, key := w.tx.Bucket(bucketClients), []byte(a.GetId()+address)
	if b.Get(key) != nil {
		return false, nil
	}
	return true, b.Put(key, []byte{})
}

func (w *writer) changed() bool {
	for _, o := range w.open {
		if o.dirty {
			return true
		}
	}
	return w.deltas > 0
}

// finish writes the changed attacks, each with a version of its own.
func (w *writer) finish() error {
	attacks, times, changes := w.tx.Bucket(bucketAttacks), w.tx.Bucket(bucketByTime), w.tx.Bucket(bucketChanges)
	for id, o := range w.open {
		if !o.dirty {
			continue
		}
		version, err := changes.NextSequence()
		if err != nil {
			return err
		}
		if o.version != 0 {
			if err := changes.Delete(binary.BigEndian.AppendUint64(nil, o.version)); err != nil {
				return err
			}
		}
		o.attack.Version = version
		if err := changes.Put(binary.BigEndian.AppendUint64(nil, version), changeOf(id, w.now)); err != nil {
			return err
		}
		entry := timeEntry(o.attack)
		if o.byTime != nil && (o.merged || !bytes.Equal(entry, o.byTime)) {
			if err := times.Delete(o.byTime); err != nil {
				return err
			}
		}
		if !o.merged && !bytes.Equal(entry, o.byTime) {
			if err := times.Put(entry, []byte{}); err != nil {
				return err
			}
		}
		data, err := proto.Marshal(o.attack)
		if err != nil {
			return fmt.Errorf("encoding attack %s: %w", id, err)
		}
		if err := attacks.Put([]byte(id), data); err != nil {
			return err
		}
	}
	return nil
}

// changeOf is the entry of a change; journals of before have the id alone.
func changeOf(id string, at time.Time) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(id), 0), uint64(at.UnixNano()))
}

// readChange gives the id, and when it was changed, if that was noted.
func readChange(entry []byte) (id []byte, at time.Time) {
	id, rest, _ := bytes.Cut(entry, []byte{0})
	if len(rest) == stampSize {
		at = time.Unix(0, int64(binary.BigEndian.Uint64(rest)))
	}
	return id, at
}

// keyEntry sorts by key, then by time.
func keyEntry(key [16]byte, first time.Time) []byte { return appendTime(key[:], first) }

// timeEntry sorts by time, then by id.
func timeEntry(a *detectionv1.Attack) []byte {
	return append(appendTime(nil, a.GetLastSeen().AsTime()), a.GetId()...)
}

// appendTime writes a time so that bytes sort as times do, also before 1970.
func appendTime(b []byte, t time.Time) []byte {
	b = append([]byte(nil), b...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Unix())^1<<63)
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
}
