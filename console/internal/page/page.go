// Package page turns the place where a list stopped into an opaque token and back (keyset paging).
package page

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// ErrToken says that a page token was not made here.
var ErrToken = errors.New("unknown page token: use next_page_token of the answer before, or none for the first page")

// longest holds the widest key of any list, escaped.
const longest = 32 << 10

// Token encodes a key.
func Token(key any) string {
	b, err := json.Marshal(key)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// Parse decodes a token into key and says whether there was one. Tokens are no secret and prove nothing: the
// organisation never comes from them.
func Parse(token string, key any) (bool, error) {
	if token == "" {
		return false, nil
	}
	if len(token) > longest {
		return false, ErrToken
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return false, ErrToken
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(key); err != nil || d.More() {
		return false, ErrToken
	}
	return true, nil
}

// Size gives the number of rows to read: the default for 0, at most 500.
func Size(asked uint32, byDefault int32) int32 { return Bounded(asked, byDefault, 500) }

// Bounded gives the number of rows to read: the default for 0, at most most.
func Bounded(asked uint32, byDefault, most int32) int32 {
	switch {
	case asked == 0:
		return byDefault
	case asked > uint32(most):
		return most
	default:
		return int32(asked)
	}
}
