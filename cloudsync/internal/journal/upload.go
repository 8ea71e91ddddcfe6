package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Batch is what a destination does not have yet, or the first part of it.
type Batch struct {
	Attacks   []*detectionv1.Attack
	Endpoints []*inventoryv1.EndpointDelta
	// destination, cursor and attack version up to which it reaches.
	destination string
	cursor      uint64
}

// Len counts records.
func (b Batch) Len() int { return len(b.Attacks) + len(b.Endpoints) }

// Pending gives at most limit changed attacks and endpoints of about maxBytes, and at least one if there are any.
func (j *Journal) Pending(destination string, limit int, maxBytes int) (Batch, error) {
	b := Batch{destination: destination}
	j.destination.Store(&destination)
	err := j.db.View(func(tx *bolt.Tx) error {
		b.cursor = uploaded(tx, destination)
		size := 0
		cursor := tx.Bucket(bucketChanges).Cursor()
		for k, entry := cursor.Seek(binary.BigEndian.AppendUint64(nil, b.cursor+1)); k != nil; k, entry = cursor.Next() {
			id, _ := readChange(entry)
			a, err := whole(tx, id)
			if err != nil {
				return err
			}
			if size += proto.Size(a); b.Len() > 0 && (size > maxBytes || b.Len() >= limit) {
				return nil
			}
			b.Attacks = append(b.Attacks, a)
			b.cursor = binary.BigEndian.Uint64(k)
		}
		cursor = tx.Bucket(bucketEndpoints).Cursor()
		for k, data := cursor.First(); k != nil; k, data = cursor.Next() {
			if size += len(data); b.Len() > 0 && (size > maxBytes || b.Len() >= limit) {
				return nil
			}
			d := &inventoryv1.EndpointDelta{}
			if err := proto.Unmarshal(data, d); err != nil {
				return fmt.Errorf("endpoint %s cannot be read: %w", k, err)
			}
			b.Endpoints = append(b.Endpoints, d)
		}
		return nil
	})
	return b, err
}

// Uploaded notes that a batch is with the console. What changed meanwhile stays pending.
func (j *Journal) Uploaded(ctx context.Context, b Batch) error {
	return j.write(ctx, 1, func(w *writer) error {
		if len(b.Attacks) > 0 && b.cursor > uploaded(w.tx, b.destination) {
			meta := w.tx.Bucket(bucketMeta)
			if err := meta.Put(cursorKey(b.destination), binary.BigEndian.AppendUint64(nil, b.cursor)); err != nil {
				return err
			}
			if err := meta.Put(destinationKey, []byte(b.destination)); err != nil {
				return err
			}
		}
		endpoints := w.tx.Bucket(bucketEndpoints)
		for _, d := range b.Endpoints {
			id := []byte(d.GetEndpoint().GetId())
			now := &inventoryv1.EndpointDelta{}
			if err := proto.Unmarshal(endpoints.Get(id), now); err != nil {
				return fmt.Errorf("endpoint %s cannot be read: %w", id, err)
			}
			if now.GetEndpoint().GetVersion() > d.GetEndpoint().GetVersion() {
				continue
			}
			if err := endpoints.Delete(id); err != nil {
				return err
			}
		}
		return nil
	})
}

// PutEndpoints keeps the newest version of each until it is uploaded. It owns what it is given.
func (j *Journal) PutEndpoints(ctx context.Context, deltas []*inventoryv1.EndpointDelta) error {
	good := deltas[:0:0]
	for _, d := range deltas {
		id := d.GetEndpoint().GetId()
		if id == "" || len(id) > maxName || bytes.ContainsRune([]byte(id), 0) {
			j.deps.Losses.Add("journal", "malformed_endpoint", 1)
			continue
		}
		d.Endpoint.Cluster = j.cfg.Cluster
		good = append(good, d)
	}
	if len(good) == 0 {
		return nil
	}
	return j.write(ctx, len(good), func(w *writer) error {
		b := w.tx.Bucket(bucketEndpoints)
		for _, d := range good {
			id := []byte(d.GetEndpoint().GetId())
			if old := b.Get(id); old != nil {
				known := &inventoryv1.EndpointDelta{}
				if err := proto.Unmarshal(old, known); err == nil && known.GetEndpoint().GetVersion() > d.GetEndpoint().GetVersion() {
					continue
				}
			}
			data, err := proto.Marshal(d)
			if err != nil {
				return fmt.Errorf("encoding an endpoint: %w", err)
			}
			if err := b.Put(id, data); err != nil {
				return err
			}
		}
		w.deltas += int64(len(good))
		return nil
	})
}

// Waiting is how many changes of attacks the console does not have yet, about.
func (j *Journal) Waiting() (n int64) {
	_ = j.db.View(func(tx *bolt.Tx) error {
		// Versions that were replaced meanwhile leave holes, so it may be less.
		n = int64(tx.Bucket(bucketChanges).Sequence() - j.reached(tx))
		return nil
	})
	return n
}

var destinationKey = []byte("destination")

// reached is the version up to which the console has everything.
func (j *Journal) reached(tx *bolt.Tx) uint64 {
	if d := j.destination.Load(); d != nil {
		return uploaded(tx, *d)
	}
	return uploaded(tx, string(tx.Bucket(bucketMeta).Get(destinationKey)))
}

func cursorKey(destination string) []byte { return []byte("cursor/" + destination) }

func uploaded(tx *bolt.Tx, destination string) uint64 {
	value := tx.Bucket(bucketMeta).Get(cursorKey(destination))
	if len(value) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}
