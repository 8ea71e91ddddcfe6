package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/cloudsync/internal/group"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// writer applies commits within one transaction. Attacks that change are written once, at its end.
type writer struct {
	tx      *bbolt.Tx
	cluster string
	attacks map[string]*detectionv1.Attack
	dirty   map[string]bool
	order   []string
}

func newWriter(tx *bbolt.Tx, cluster string) *writer {
	return &writer{tx: tx, cluster: cluster, attacks: map[string]*detectionv1.Attack{}, dirty: map[string]bool{}}
}

func (w *writer) apply(c *commit) error {
	for _, h := range c.hits {
		if err := w.hit(h); err != nil {
			return err
		}
	}
	for _, o := range c.outcomes {
		if err := w.outcome(o); err != nil {
			return err
		}
	}
	for _, d := range c.endpoints {
		if err := w.endpoint(d); err != nil {
			return err
		}
	}
	return nil
}

// hitKey orders hits by exchange: all hits of one are a prefix.
func hitKey(h *detectionv1.Hit) []byte {
	key := append([]byte(nil), h.GetExchangeId()...)
	key = append(append(key, 0), h.GetType()...)
	return append(append(key, 0), h.GetPoint()...)
}

// stored is a hit with the id of its attack before it.
func stored(attack string, h *detectionv1.Hit) ([]byte, error) {
	body, err := proto.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encoding a hit: %w", err)
	}
	return append(append([]byte{byte(len(attack))}, attack...), body...), nil
}

func unstored(value []byte) (attack string, h *detectionv1.Hit, err error) {
	n := int(value[0])
	h = &detectionv1.Hit{}
	if err := proto.Unmarshal(value[1+n:], h); err != nil {
		return "", nil, fmt.Errorf("reading a hit: %w", err)
	}
	return string(value[1 : 1+n]), h, nil
}

func (w *writer) hit(h *detectionv1.Hit) error {
	if h.GetCluster() == "" {
		h = proto.CloneOf(h)
		h.Cluster = w.cluster
	}
	hits, key := w.tx.Bucket(bucketHits), hitKey(h)
	if value := hits.Get(key); value != nil {
		id, old, err := unstored(value)
		if err != nil || old.GetRevision() >= h.GetRevision() {
			return err
		}
		a, err := w.attack(id)
		if err != nil {
			return err
		}
		group.Replace(a, h)
		w.touch(id)
		return w.putHit(id, h)
	}
	id, err := w.attackFor(h)
	if err != nil {
		return err
	}
	w.touch(id)
	return w.putHit(id, h)
}

func (w *writer) putHit(id string, h *detectionv1.Hit) error {
	value, err := stored(id, h)
	if err != nil {
		return err
	}
	return w.tx.Bucket(bucketHits).Put(hitKey(h), value)
}

// attackFor adds the hit to the attack that it belongs to, or begins one.
func (w *writer) attackFor(h *detectionv1.Hit) (string, error) {
	groups, key := w.tx.Bucket(bucketGroups), []byte(group.Key(h))
	if id := groups.Get(key); id != nil {
		a, err := w.attack(string(id))
		if err != nil {
			return "", err
		}
		if group.Holds(a, h.GetObservedAt().AsTime()) {
			group.Add(a, h)
			return a.GetId(), nil
		}
	}
	n, err := w.tx.Bucket(bucketAttacks).NextSequence()
	if err != nil {
		return "", fmt.Errorf("numbering an attack: %w", err)
	}
	id := fmt.Sprintf("%012x", n)
	w.attacks[id] = group.New(id, h)
	return id, groups.Put(key, []byte(id))
}

func (w *writer) attack(id string) (*detectionv1.Attack, error) {
	if a := w.attacks[id]; a != nil {
		return a, nil
	}
	a := &detectionv1.Attack{}
	if err := proto.Unmarshal(w.tx.Bucket(bucketAttacks).Get([]byte(id)), a); err != nil {
		return nil, fmt.Errorf("reading attack %s: %w", id, err)
	}
	w.attacks[id] = a
	return a, nil
}

func (w *writer) touch(id string) {
	if !w.dirty[id] {
		w.dirty[id] = true
		w.order = append(w.order, id)
	}
}

// outcome fills in what became known of an exchange.
func (w *writer) outcome(o *detectionv1.OutcomeUpdate) error {
	prefix := append(append([]byte(nil), o.GetExchangeId()...), 0)
	cursor := w.tx.Bucket(bucketHits).Cursor()
	type found struct {
		id  string
		hit *detectionv1.Hit
	}
	var all []found
	for key, value := cursor.Seek(prefix); key != nil && bytes.HasPrefix(key, prefix); key, value = cursor.Next() {
		id, h, err := unstored(value)
		if err != nil {
			return err
		}
		if h.GetRevision() < o.GetRevision() {
			all = append(all, found{id, h})
		}
	}
	for _, f := range all {
		f.hit.Revision, f.hit.Outcome = o.GetRevision(), o.GetOutcome()
		if f.hit.Request != nil {
			f.hit.Request.Status = o.GetStatus()
		}
		a, err := w.attack(f.id)
		if err != nil {
			return err
		}
		group.Replace(a, f.hit)
		w.touch(f.id)
		if err := w.putHit(f.id, f.hit); err != nil {
			return err
		}
	}
	return nil
}

// endpoint keeps the newest version of a changed endpoint until it is uploaded.
func (w *writer) endpoint(d *inventoryv1.EndpointDelta) error {
	endpoints, changes := w.tx.Bucket(bucketEndpoints), w.tx.Bucket(bucketEndpointChanges)
	key := []byte(d.GetEndpoint().GetCluster() + "\x00" + d.GetEndpoint().GetId())
	if old := endpoints.Get(key); old != nil {
		var had inventoryv1.EndpointDelta
		if err := proto.Unmarshal(old[8:], &had); err != nil {
			return fmt.Errorf("reading an endpoint: %w", err)
		}
		if had.GetEndpoint().GetVersion() >= d.GetEndpoint().GetVersion() {
			return nil
		}
		if err := changes.Delete(old[:8]); err != nil {
			return fmt.Errorf("forgetting an older endpoint: %w", err)
		}
	}
	n, err := changes.NextSequence()
	if err != nil {
		return fmt.Errorf("numbering a change: %w", err)
	}
	body, err := proto.Marshal(d)
	if err != nil {
		return fmt.Errorf("encoding an endpoint: %w", err)
	}
	number := binary.BigEndian.AppendUint64(nil, n)
	if err := changes.Put(number, key); err != nil {
		return fmt.Errorf("keeping an endpoint: %w", err)
	}
	return endpoints.Put(key, append(number, body...))
}

// finish writes every attack that changed, under a new version.
func (w *writer) finish() error {
	attacks, changes := w.tx.Bucket(bucketAttacks), w.tx.Bucket(bucketAttackChanges)
	for _, id := range w.order {
		a := w.attacks[id]
		if a.GetVersion() != 0 {
			if err := changes.Delete(binary.BigEndian.AppendUint64(nil, a.GetVersion())); err != nil {
				return fmt.Errorf("forgetting an older version: %w", err)
			}
		}
		n, err := changes.NextSequence()
		if err != nil {
			return fmt.Errorf("numbering a change: %w", err)
		}
		a.Version = n
		body, err := proto.Marshal(a)
		if err != nil {
			return fmt.Errorf("encoding attack %s: %w", id, err)
		}
		if err := attacks.Put([]byte(id), body); err != nil {
			return fmt.Errorf("keeping attack %s: %w", id, err)
		}
		if err := changes.Put(binary.BigEndian.AppendUint64(nil, n), []byte(id)); err != nil {
			return fmt.Errorf("keeping a change: %w", err)
		}
	}
	return nil
}
