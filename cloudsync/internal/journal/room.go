package journal

import (
	"encoding/binary"
	"time"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/internal/logkey"
)

// room is what the writer knows of the file's size between transactions.
//
// Pages in use are what counts, since the file never shrinks. Hits lie in the order of exchange ids, which is none: so
// what is deleted leaves gaps in pages long before it frees any. Credit is those gaps, in bytes: without it, far more
// would be deleted than there was need for. New hits fill them again.
type room struct {
	began time.Time
	// fitting: the bound was passed, and enough was not given up yet.
	fitting bool
	credit  int64
	// more: the last transaction did not get to the end of its tidying.
	more bool
	// swept is the version up to which attacks have no samples any more.
	swept uint64
	// said: a person was told that the bound cannot be kept.
	said bool
}

// low is where giving up ends once it began.
func (j *Journal) low() int64 { return j.cfg.MaxSize - j.cfg.MaxSize/16 }

// used is the bytes of all pages in use, as of the last transaction.
func used(tx *bolt.Tx) int64 {
	stats, page := tx.DB().Stats(), int64(tx.DB().Info().PageSize)
	return tx.Size() - page*int64(stats.FreePageN+stats.PendingPageN)
}

// settle takes account of a transaction that is done.
func (r *room) settle(j *Journal, added int64, t *tidy) {
	after := t.used
	_ = j.db.View(func(tx *bolt.Tx) error { after = used(tx); return nil })
	j.Used.Store(after)
	r.credit = max(0, r.credit+max(0, t.freed-max(0, t.used-after))-added)
	if t.stuck && !r.said {
		j.deps.Log.Warn("the journal holds little but what must not be forgotten yet, and is over max_size: give it more room",
			logkey.Bytes, after)
	}
	r.said = r.fitting && (r.said || t.stuck)
}

// untidy tells whether an idle journal has something to give up.
func (j *Journal) untidy() (is bool) {
	_ = j.db.View(func(tx *bolt.Tx) error {
		t := newTidy(j, tx, j.now())
		if is = t.over() > 0 && !j.room.said; is || j.cfg.Retention == 0 {
			return nil
		}
		if k, entry := tx.Bucket(bucketChanges).Cursor().First(); k != nil {
			id, at := readChange(entry)
			is = t.old(tx, id, at)
		}
		if k, _ := tx.Bucket(bucketSpare).Cursor().First(); !is && len(k) == stampSize {
			is = arrival(k).Before(t.now.Add(-j.cfg.Retention))
		}
		return nil
	})
	return is
}

func arrival(stamp []byte) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(stamp))) }

// old tells whether an attack is over the retention. What has no time of change is of a journal of before.
func (t *tidy) old(tx *bolt.Tx, id []byte, at time.Time) bool {
	if at.IsZero() {
		a := &detectionv1.Attack{}
		if err := proto.Unmarshal(tx.Bucket(bucketAttacks).Get(id), a); err != nil {
			return false
		}
		at = a.GetLastSeen().AsTime()
	}
	return at.Before(t.now.Add(-t.j.cfg.Retention))
}

// entrySize is about what an entry takes of its page.
func entrySize(key, value []byte) int64 { return int64(len(key) + len(value) + 16) }
