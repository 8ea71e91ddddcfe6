// Package group folds hits into attacks: hits of equal type, point and target until an hour of silence. What comes out
// depends on the hits alone, not on the order or the number of times in which they came.
package group

import (
	"crypto/sha256"
	"encoding/binary"
	"net"
	"strings"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
)

// Bounds of what strangers choose.
const (
	maxMethod = 32
	maxName   = 255
)

// Key is what the hits of one attack have in common.
type Key struct{ Type, Point, Service, Host, Method, Path string }

// KeyOf reads it from a hit. The endpoint is not known to a hit yet, so the shape of the path stands for it.
func KeyOf(h *detectionv1.Hit) Key {
	r := h.GetRequest()
	return Key{
		Type: h.GetType(), Point: h.GetPoint(), Service: clip(r.GetWorkload().GetService(), maxName), Host: hostOf(r.GetHost()),
		Method: clip(r.GetMethod(), maxMethod), Path: Shape(r.GetPath()),
	}
}

// KeyOfAttack reads it back from an attack.
func KeyOfAttack(a *detectionv1.Attack) Key {
	t := a.GetTarget()
	return Key{Type: a.GetType(), Point: a.GetPoint(), Service: t.GetService(), Host: t.GetHost(), Method: t.GetMethod(), Path: t.GetPath()}
}

// Target puts the key into the words of the record.
func (k Key) Target() *detectionv1.Target {
	return &detectionv1.Target{Service: k.Service, Host: k.Host, Method: k.Method, Path: k.Path}
}

// Hash is the key in 16 bytes; lengths keep parts from running into each other.
func (k Key) Hash() [16]byte {
	var b []byte
	for _, part := range []string{k.Type, k.Point, k.Service, k.Host, k.Method, k.Path} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}

// hostOf drops the port and the case.
func hostOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return clip(strings.ToLower(strings.TrimSuffix(host, ".")), maxName)
}

// clip cuts a text without leaving half a character.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}
