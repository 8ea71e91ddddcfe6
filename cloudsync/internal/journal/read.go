package journal

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Attacks lists attacks, newest first, from before the id of a token on; the next token is empty at the end.
func (j *Journal) Attacks(size int, token string) (list []*detectionv1.Attack, next string, err error) {
	err = j.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(bucketAttacks).Cursor()
		key, value := cursor.Last()
		if token != "" {
			if key, value = cursor.Seek([]byte(token)); key == nil {
				key, value = cursor.Last()
			} else {
				key, value = cursor.Prev()
			}
		}
		for ; key != nil; key, value = cursor.Prev() {
			if len(list) == size {
				next = list[size-1].GetId()
				return nil
			}
			a := &detectionv1.Attack{}
			if err := proto.Unmarshal(value, a); err != nil {
				return fmt.Errorf("reading attack %s: %w", key, err)
			}
			list = append(list, a)
		}
		return nil
	})
	return list, next, err
}

// Pending is what waits for upload, oldest change first, and how to forget it once it is uploaded.
type Pending struct {
	Attacks   []*detectionv1.Attack
	Endpoints []*inventoryv1.EndpointDelta
	// numbers of the changes that these are.
	attacks, endpoints [][]byte
}

// Empty tells whether nothing waits.
func (p *Pending) Empty() bool { return len(p.Attacks) == 0 && len(p.Endpoints) == 0 }

// Pending reads up to this many of each.
func (j *Journal) Pending(most int) (*Pending, error) {
	p := &Pending{}
	err := j.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(bucketAttackChanges).Cursor()
		for number, id := cursor.First(); number != nil && len(p.Attacks) < most; number, id = cursor.Next() {
			a := &detectionv1.Attack{}
			if err := proto.Unmarshal(tx.Bucket(bucketAttacks).Get(id), a); err != nil {
				return fmt.Errorf("reading attack %s: %w", id, err)
			}
			p.Attacks, p.attacks = append(p.Attacks, a), append(p.attacks, bytes.Clone(number))
		}
		cursor = tx.Bucket(bucketEndpointChanges).Cursor()
		for number, key := cursor.First(); number != nil && len(p.Endpoints) < most; number, key = cursor.Next() {
			d := &inventoryv1.EndpointDelta{}
			if err := proto.Unmarshal(tx.Bucket(bucketEndpoints).Get(key)[8:], d); err != nil {
				return fmt.Errorf("reading an endpoint: %w", err)
			}
			p.Endpoints, p.endpoints = append(p.Endpoints, d), append(p.endpoints, bytes.Clone(number))
		}
		return nil
	})
	return p, err
}

// Uploaded forgets that these changes wait. A change made meanwhile has another number, and waits on.
func (j *Journal) Uploaded(p *Pending) error {
	err := j.db.Update(func(tx *bbolt.Tx) error {
		for _, number := range p.attacks {
			if err := tx.Bucket(bucketAttackChanges).Delete(number); err != nil {
				return err
			}
		}
		for _, number := range p.endpoints {
			if err := tx.Bucket(bucketEndpointChanges).Delete(number); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("noting what was uploaded: %w", err)
	}
	return nil
}
