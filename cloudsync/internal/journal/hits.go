package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/cloudsync/internal/group"
)

const (
	idSize = 16
	// maxName bounds types and points, which are part of a key.
	maxName = 4096
)

// Commit keeps hits and outcomes, and returns when they are on the disk. It owns what it is given.
func (j *Journal) Commit(ctx context.Context, hits []*detectionv1.Hit, outcomes []*detectionv1.OutcomeUpdate) error {
	hits, outcomes = j.wellFormed(hits, outcomes)
	if len(hits)+len(outcomes) == 0 {
		return nil
	}
	return j.write(ctx, len(hits)+len(outcomes), func(w *writer) error {
		for _, h := range hits {
			if err := w.hit(h); err != nil {
				return err
			}
		}
		for _, u := range outcomes {
			if err := w.outcome(u); err != nil {
				return err
			}
		}
		return nil
	})
}

// wellFormed leaves out what can never be kept, and counts it: refused, it would come again for ever and hold up the rest.
func (j *Journal) wellFormed(hits []*detectionv1.Hit, outcomes []*detectionv1.OutcomeUpdate) ([]*detectionv1.Hit, []*detectionv1.OutcomeUpdate) {
	goodHits, goodOutcomes := hits[:0:0], outcomes[:0:0]
	now := timestamppb.Now()
	for _, h := range hits {
		if len(h.GetExchangeId()) != idSize || !isName(h.GetType()) || !isName(h.GetPoint()) {
			j.deps.Losses.Add("journal", "malformed_hit", 1)
			continue
		}
		group.Settle(h, now)
		h.Cluster = j.cfg.Cluster
		goodHits = append(goodHits, h)
	}
	for _, u := range outcomes {
		if len(u.GetExchangeId()) != idSize {
			j.deps.Losses.Add("journal", "malformed_outcome", 1)
			continue
		}
		goodOutcomes = append(goodOutcomes, u)
	}
	return goodHits, goodOutcomes
}

func isName(s string) bool { return s != "" && len(s) <= maxName && !strings.Contains(s, "\x00") }

// hitKey is unique: the id has one length, and no name holds a zero.
func hitKey(exchange []byte, kind, point string) []byte {
	return append(append(append(bytes.Clone(exchange), kind...), 0), point...)
}

func (w *writer) hit(h *detectionv1.Hit) error {
	key := hitKey(h.GetExchangeId(), h.GetType(), h.GetPoint())
	record, err := w.record(key)
	if err != nil {
		return err
	}
	if record != nil {
		return w.again(key, record, h)
	}
	w.hits++
	record = group.NewRecord(h)
	seen := h
	if u := w.j.early.find(h.GetExchangeId()); u != nil && group.SetOutcome(record, u) {
		seen = group.Hit(record)
	}
	gone, err := group.Add(w, seen)
	if err != nil {
		return err
	}
	for _, ref := range gone {
		if bytes.Equal(ref.GetExchangeId(), h.GetExchangeId()) {
			group.Strip(record)
			if err := w.j.spare(w.tx, key); err != nil {
				return err
			}
			continue
		}
		if _, err := w.j.stripStored(w.tx, hitKey(ref.GetExchangeId(), h.GetType(), h.GetPoint())); err != nil {
			return err
		}
	}
	return w.put(key, record)
}

// again takes another report of a hit that is known.
func (w *writer) again(key []byte, record *group.Record, h *detectionv1.Hit) error {
	w.resent++
	known := proto.CloneOf(record.GetHits()[0])
	report := group.Report{Severity: h.GetSeverity(), Confidence: h.GetConfidence(), Outcome: h.GetOutcome()}
	report.Changed = group.Revise(record, h)
	sampled, err := group.Again(w, known, report)
	if err != nil || !report.Changed {
		return err
	}
	if !sampled {
		group.Strip(record)
	}
	return w.put(key, record)
}

// outcome goes to all hits of the exchange. It may be here before them: two replicas judge two revisions at once.
func (w *writer) outcome(u *detectionv1.OutcomeUpdate) error {
	cursor := w.tx.Bucket(bucketHits).Cursor()
	var keys [][]byte
	for k, _ := cursor.Seek(u.GetExchangeId()); bytes.HasPrefix(k, u.GetExchangeId()); k, _ = cursor.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	w.j.early.put(u)
	for _, key := range keys {
		record, err := w.record(key)
		if err != nil {
			return err
		}
		w.outcomes++
		changed := group.SetOutcome(record, u)
		sampled, err := group.Again(w, record.GetHits()[0], group.Report{Outcome: u.GetOutcome(), Changed: changed})
		if err != nil {
			return err
		}
		if !changed {
			continue
		}
		if !sampled {
			group.Strip(record)
		}
		if err := w.put(key, record); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) record(key []byte) (*group.Record, error) {
	data := w.tx.Bucket(bucketHits).Get(key)
	if data == nil {
		return nil, nil //nolint:nilnil // a hit that is not known is no error
	}
	return readRecord(key, data)
}

func (w *writer) put(key []byte, record *group.Record) error {
	size, err := putRecord(w.tx, key, record)
	w.added += size
	return err
}

// readRecord puts back what the key says.
func readRecord(key, data []byte) (*group.Record, error) {
	record := &group.Record{}
	if err := proto.Unmarshal(data, record); err != nil {
		return nil, fmt.Errorf("a hit cannot be read: %w", err)
	}
	if len(record.GetHits()) != 1 || len(key) < idSize {
		return nil, fmt.Errorf("a record holds %d hits, want 1", len(record.GetHits()))
	}
	if h := record.GetHits()[0]; len(h.GetExchangeId()) == 0 {
		kind, point, _ := bytes.Cut(key[idSize:], []byte{0})
		h.ExchangeId, h.Type, h.Point = bytes.Clone(key[:idSize]), string(kind), string(point)
	}
	return record, nil
}

func putRecord(tx *bolt.Tx, key []byte, record *group.Record) (int64, error) {
	data, err := proto.Marshal(record)
	if err != nil {
		return 0, fmt.Errorf("encoding a hit: %w", err)
	}
	return entrySize(key, data), tx.Bucket(bucketHits).Put(key, data)
}

// stripStored makes a hit that was a sample one that is only known, and tells how many bytes that gives.
func (j *Journal) stripStored(tx *bolt.Tx, key []byte) (int64, error) {
	data := tx.Bucket(bucketHits).Get(key)
	if data == nil {
		return 0, nil
	}
	was := entrySize(key, data)
	record, err := readRecord(key, data)
	if err != nil {
		return 0, err
	}
	group.Strip(record)
	size, err := putRecord(tx, key, record)
	if err != nil {
		return 0, err
	}
	return was - size, j.spare(tx, key)
}

// stampSize is the length of an arrival.
const stampSize = 8

// spare notes a hit that is no sample, in order of arrival. Arrivals only grow, whatever the clock does.
func (j *Journal) spare(tx *bolt.Tx, key []byte) error {
	j.stamp = max(j.stamp+1, uint64(j.now().UnixNano()))
	return tx.Bucket(bucketSpare).Put(binary.BigEndian.AppendUint64(nil, j.stamp), key)
}
