// Package hash makes keyed hashes: equal values can be told without the values.
package hash

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
)

// size of a hash in bytes: enough to tell values apart, too little to be worth attacking without the key.
const size = 16

// Key is the secret of one cluster.
type Key struct{ secret []byte }

// NewKey derives a key. An empty secret gives a random key, for one process.
func NewKey(secret string) Key {
	if secret == "" {
		return Key{[]byte(rand.Text())}
	}
	return Key{[]byte(secret)}
}

// Sum hashes a value for one purpose: the same value hashes differently for another.
func (k Key) Sum(purpose string, value []byte) []byte {
	h := hmac.New(sha256.New, k.secret)
	h.Write([]byte(purpose))
	h.Write([]byte{0})
	h.Write(value)
	return h.Sum(nil)[:size]
}
