// Package journal is the attack record of a cluster, in one bbolt file: what it acknowledged is on the disk.
package journal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/sidelight/sidelight/internal/losses"
)

const (
	// flushAfter and flushWeight bound what one transaction gathers: time since its first commit, and hits.
	flushAfter  = 2 * time.Millisecond
	flushWeight = 512
	lockTimeout = 3 * time.Second
	fileName    = "journal.db"
	// tidyEvery is how often an idle journal looks for what is too old.
	tidyEvery = time.Second
	// format changes when a release cannot read what an older one wrote.
	format = "1"
)

// ErrClosed says that the journal takes nothing any more, or not yet.
var ErrClosed = errors.New("the journal is closed")

// Config says where the journal is, whose attacks it records, and how much.
type Config struct {
	Dir     string
	Cluster string
	// Retention is how long an attack is kept after its last change; 0 = for ever.
	Retention time.Duration
	// MaxSize bounds the pages in use; 0 = no bound. The file itself never shrinks: free pages in it are used again.
	MaxSize int64
}

// Deps is what it reports to.
type Deps struct {
	Log    *slog.Logger
	Losses *losses.Losses
}

// Journal is the open file. One task writes; any may read.
type Journal struct {
	cfg   Config
	deps  Deps
	db    *bolt.DB
	epoch string
	ops   chan op
	ended chan struct{}
	// changed has room for one token: there is something new to upload.
	changed chan struct{}
	early   *early
	broken  atomic.Pointer[error]
	// now is the clock; tests set another before they run it.
	now func() time.Time
	// destination is where uploads go, as far as it is known.
	destination atomic.Pointer[string]
	// stamp is the last arrival that was noted; room is what tidying knows. Both are the writer's.
	stamp uint64
	room  room

	// Hits and Resent count reports of hits: new ones, and those that were known. Flushes counts transactions.
	Hits, Resent, Outcomes, Flushes, Endpoints atomic.Int64
	// Used is the bytes of all pages in use; Forgotten counts known hits that no resend would be recognised of any more.
	Used, Forgotten atomic.Int64
}

// Buckets.
var (
	// bucketHits: exchange id, type and point → group.Record.
	bucketHits = []byte("hits")
	// bucketAttacks: id → Attack, its samples being references.
	bucketAttacks = []byte("attacks")
	// bucketByKey: hash of the key, first seen → id. Attacks of one key never overlap.
	bucketByKey = []byte("attacks_by_key")
	// bucketByTime: last seen, id → nothing.
	bucketByTime = []byte("attacks_by_time")
	// bucketChanges: version → id, time of the change; versions are this bucket's sequence. Each attack is in it once, so
	// that its order is that of the last changes.
	bucketChanges = []byte("changes")
	// bucketClients: attack's id, address → nothing.
	bucketClients = []byte("clients")
	// bucketEndpoints: endpoint id → EndpointDelta that was not uploaded.
	bucketEndpoints = []byte("endpoints")
	// bucketSpare: arrival → key of a hit that is no sample, and kept only to be known when it comes again.
	bucketSpare = []byte("spare")
	// bucketNotes: what other packages keep here.
	bucketNotes = []byte("notes")
	// bucketMeta: "format", "epoch", "destination" of the last upload; "cursor/<destination>" → version that was uploaded.
	bucketMeta = []byte("meta")
)

// Open opens or makes the file. Only one process can have it.
func Open(cfg Config, deps Deps) (*Journal, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal directory: %w (set data_dir to one that this user may write)", err)
	}
	path := filepath.Join(cfg.Dir, fileName)
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: lockTimeout, FreelistType: bolt.FreelistMapType, NoFreelistSync: true,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("journal %s is in use by another process: stop that one first", path)
	}
	if err != nil {
		return nil, fmt.Errorf("journal %s cannot be opened: %w", path, err)
	}
	j := &Journal{
		cfg: cfg, deps: deps, db: db, early: newEarly(), ops: make(chan op, 64), ended: make(chan struct{}), changed: make(chan struct{}, 1),
		room: room{began: time.Now()}, now: time.Now,
	}
	if err := db.Update(j.prepare); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s cannot be prepared: %w", path, err), db.Close())
	}
	return j, nil
}

func (j *Journal) prepare(tx *bolt.Tx) error {
	if first, _ := tx.Cursor().First(); first != nil {
		if meta := tx.Bucket(bucketMeta); meta == nil || string(meta.Get([]byte("format"))) != format {
			return errors.New("it was written in another format: move the file away to begin a new journal")
		}
	}
	for _, name := range [][]byte{
		bucketHits, bucketAttacks, bucketByKey, bucketByTime, bucketChanges, bucketClients, bucketEndpoints,
		bucketSpare, bucketNotes, bucketMeta,
	} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(bucketMeta)
	if err := meta.Put([]byte("format"), []byte(format)); err != nil {
		return err
	}
	epoch := meta.Get([]byte("epoch"))
	if epoch == nil {
		// A journal that was lost and begun anew must give no id a second time.
		random := make([]byte, 4)
		if _, err := rand.Read(random); err != nil {
			return err
		}
		epoch = []byte(hex.EncodeToString(random))
		if err := meta.Put([]byte("epoch"), epoch); err != nil {
			return err
		}
	}
	j.epoch = string(epoch)
	if last, _ := tx.Bucket(bucketSpare).Cursor().Last(); len(last) == stampSize {
		j.stamp = binary.BigEndian.Uint64(last)
	}
	return nil
}

// Ready says why nothing can be committed.
func (j *Journal) Ready() error {
	if err := j.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// Changed gives a token whenever there is something new to upload.
func (j *Journal) Changed() <-chan struct{} { return j.changed }

// Close gives the file back without having run.
func (j *Journal) Close() error { return j.db.Close() }

// Run writes until ctx ends, then closes the file. What was not acknowledged then is sent again.
func (j *Journal) Run(ctx context.Context) error {
	defer close(j.ended)
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := j.db.Close(); err != nil {
				return fmt.Errorf("closing the journal: %w", err)
			}
			return nil
		case first := <-j.ops:
			j.flush(j.gather(first))
		case <-tick.C:
			j.room.more = j.room.more || j.untidy()
		}
		// Commits do part of the work on their way; the rest is done while none waits.
		for j.room.more && len(j.ops) == 0 && ctx.Err() == nil {
			j.flush(nil)
		}
	}
}
