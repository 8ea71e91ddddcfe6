package journal

import (
	"bytes"
	"context"

	bolt "go.etcd.io/bbolt"
)

// Notes gives what others keep here.
func (j *Journal) Notes() (map[string][]byte, error) {
	notes := map[string][]byte{}
	err := j.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketNotes).ForEach(func(k, v []byte) error {
			notes[string(k)] = bytes.Clone(v)
			return nil
		})
	})
	return notes, err
}

// PutNotes changes notes, nil taking one away, and returns when that is on the disk.
func (j *Journal) PutNotes(ctx context.Context, changes map[string][]byte) error {
	return j.write(ctx, 1, func(w *writer) error {
		b := w.tx.Bucket(bucketNotes)
		for name, value := range changes {
			if value == nil {
				if err := b.Delete([]byte(name)); err != nil {
					return err
				}
				continue
			}
			if err := b.Put([]byte(name), value); err != nil {
				return err
			}
		}
		return nil
	})
}
