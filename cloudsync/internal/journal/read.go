package journal

import (
	"encoding/base64"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/cloudsync/internal/group"
)

const (
	// maxText bounds the masked requests that one attack shows, so that an attack always fits into a message.
	maxText = 256 << 10
	// maxPage ends a page early, well under what a message may carry.
	maxPage = 4 << 20
)

// errToken says that a page token is none of ours.
var errToken = errors.New("page_token is not one that an answer gave: leave it empty to begin anew")

// List gives the attacks that were seen last, newest first, from a token on, and the token of the next page, "" at the end.
func (j *Journal) List(token string, limit int) (list []*detectionv1.Attack, next string, err error) {
	from, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(from) > 64 {
		return nil, "", errToken
	}
	err = j.db.View(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(bucketByTime).Cursor()
		entry, _ := cursor.Last()
		if len(from) > 0 {
			// Behind the entry that the last page ended with, which may have moved meanwhile.
			if found, _ := cursor.Seek(from); found != nil {
				entry, _ = cursor.Prev()
			}
		}
		size := 0
		for ; entry != nil; entry, _ = cursor.Prev() {
			if len(list) == limit || size > maxPage {
				return nil
			}
			a, err := whole(tx, entry[timeSize:])
			if err != nil {
				return err
			}
			list = append(list, a)
			size += proto.Size(a)
			next = base64.RawURLEncoding.EncodeToString(entry)
		}
		next = ""
		return nil
	})
	return list, next, err
}

// timeSize is the length of appendTime's output.
const timeSize = 12

// whole reads an attack and puts the hits in the place of its references.
func whole(tx *bolt.Tx, id []byte) (*detectionv1.Attack, error) {
	a := &detectionv1.Attack{}
	if err := proto.Unmarshal(tx.Bucket(bucketAttacks).Get(id), a); err != nil {
		return nil, fmt.Errorf("attack %s cannot be read: %w", id, err)
	}
	hits, text := tx.Bucket(bucketHits), 0
	for i, ref := range a.GetSamples() {
		key := hitKey(ref.GetExchangeId(), a.GetType(), a.GetPoint())
		data := hits.Get(key)
		if data == nil {
			return nil, fmt.Errorf("attack %s names a hit that the journal does not have", id)
		}
		record, err := readRecord(key, data)
		if err != nil {
			return nil, err
		}
		h := group.Hit(record)
		if text += len(h.GetRequest().GetMaskedRequest()); text > maxText {
			h.Request.MaskedRequest = nil
		}
		a.Samples[i] = h
	}
	return a, nil
}
