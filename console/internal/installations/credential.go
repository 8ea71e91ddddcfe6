package installations

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// accessLife is how long an access token is good for.
const accessLife = 10 * time.Minute

// ErrAccess says that an access token does not hold: the installation asks for another with its key.
var ErrAccess = errors.New("access token missing, damaged or too old: ask for another (RefreshToken)")

// claims is what an access token says. It is signed, not secret.
type claims struct {
	Org          int64  `json:"o"`
	Installation string `json:"i"`
	// Generation of the token that the installation was made with.
	Generation int64 `json:"g"`
	Expires    int64 `json:"e"`
}

const (
	accessPrefix = "v1."
	longestToken = 1024
)

func (c claims) sign(secret []byte) string {
	// Numbers and a string always encode.
	payload, _ := json.Marshal(c)
	text := accessPrefix + base64.RawURLEncoding.EncodeToString(payload)
	return text + "." + base64.RawURLEncoding.EncodeToString(mac(secret, text))
}

// parse checks everything about a token that needs no database. secretOf gives the key of an organisation.
func parse(token string, now time.Time, secretOf func(org int64) []byte) (claims, error) {
	var c claims
	if len(token) > longestToken || !strings.HasPrefix(token, accessPrefix) {
		return c, ErrAccess
	}
	dot := strings.LastIndexByte(token, '.')
	text, tail := token[:dot], token[dot+1:]
	if len(text) <= len(accessPrefix) {
		return c, ErrAccess
	}
	sum, err := base64.RawURLEncoding.DecodeString(tail)
	if err != nil {
		return c, ErrAccess
	}
	payload, err := base64.RawURLEncoding.DecodeString(text[len(accessPrefix):])
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return claims{}, ErrAccess
	}
	secret := secretOf(c.Org)
	if len(secret) == 0 || !hmac.Equal(sum, mac(secret, text)) || now.Unix() >= c.Expires {
		return claims{}, ErrAccess
	}
	return c, nil
}

func mac(secret []byte, text string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("sidelight access token\n" + text))
	return h.Sum(nil)
}
