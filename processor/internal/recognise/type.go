// Package recognise tells what a value looks like: its narrowest type, and whether it is of a sensitive class. It looks at
// values and hands on only types and classes.
package recognise

import (
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// longest is how long a value may be to be looked at; what is longer is a string.
const longest = 4096

// Type gives the narrowest type of a text.
func Type(value []byte) inventoryv1.ValueType {
	if len(value) == 0 || len(value) > longest {
		return inventoryv1.ValueType_VALUE_TYPE_STRING
	}
	s := string(value)
	switch {
	case s == "true" || s == "false":
		return inventoryv1.ValueType_VALUE_TYPE_BOOLEAN
	case allIn(strings.TrimPrefix(s, "-"), digits):
		return integer(s)
	case isDecimal(s):
		return inventoryv1.ValueType_VALUE_TYPE_NUMBER
	case isUUID(s):
		return inventoryv1.ValueType_VALUE_TYPE_UUID
	case isULID(s):
		return inventoryv1.ValueType_VALUE_TYPE_ULID
	case len(s) == 24 && allIn(s, lowerHex):
		return inventoryv1.ValueType_VALUE_TYPE_OBJECT_ID
	case isDate(s):
		return inventoryv1.ValueType_VALUE_TYPE_DATE
	case isDateTime(s):
		return inventoryv1.ValueType_VALUE_TYPE_DATE_TIME
	case isHex(s):
		return inventoryv1.ValueType_VALUE_TYPE_HEX
	}
	return textType(s)
}

func textType(s string) inventoryv1.ValueType {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		if a.Is4() {
			return inventoryv1.ValueType_VALUE_TYPE_IPV4
		}
		return inventoryv1.ValueType_VALUE_TYPE_IPV6
	}
	switch {
	case isEmail(s):
		return inventoryv1.ValueType_VALUE_TYPE_EMAIL
	case isURI(s):
		return inventoryv1.ValueType_VALUE_TYPE_URI
	case isJWT(s):
		return inventoryv1.ValueType_VALUE_TYPE_JWT
	case isPrefixedID(s):
		return inventoryv1.ValueType_VALUE_TYPE_PREFIXED_ID
	case isBase64(s):
		return inventoryv1.ValueType_VALUE_TYPE_BASE64
	default:
		return inventoryv1.ValueType_VALUE_TYPE_STRING
	}
}

const (
	digits   = "0123456789"
	lowerHex = digits + "abcdef"
	anyHex   = lowerHex + "ABCDEF"
	letters  = "abcdefghijklmnopqrstuvwxyz"
	upper    = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	word     = digits + letters + upper
)

func allIn(s, set string) bool {
	return s != "" && strings.Trim(s, set) == ""
}

// integer of a text of digits. One that begins with a zero is not a number: it is a code, and loses its zero as a number.
func integer(s string) inventoryv1.ValueType {
	abs := strings.TrimPrefix(s, "-")
	if len(abs) > 1 && abs[0] == '0' {
		return inventoryv1.ValueType_VALUE_TYPE_STRING
	}
	v, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return inventoryv1.ValueType_VALUE_TYPE_BIG_INTEGER
	case int64(int32(v)) == v:
		return inventoryv1.ValueType_VALUE_TYPE_INT32
	default:
		return inventoryv1.ValueType_VALUE_TYPE_INT64
	}
}

func isDecimal(s string) bool {
	if !strings.ContainsAny(s, digits) || strings.Trim(s, digits+"+-.eE") != "" || len(s) > 64 {
		return false
	}
	// A version such as 1.2.3 and a hash such as 1e5 in hex are not numbers; ParseFloat knows the first, a sign or a point the second.
	_, err := strconv.ParseFloat(s, 64)
	return err == nil && strings.Contains(s, ".")
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (s[i] == '-') || !dash && !strings.Contains(anyHex, s[i:i+1]) {
			return false
		}
	}
	return true
}

func isULID(s string) bool {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	return len(s) == 26 && s[0] <= '7' && allIn(s, alphabet) && strings.ContainsAny(s, digits)
}

func isHex(s string) bool {
	return len(s) >= 8 && len(s)%2 == 0 && strings.ContainsAny(s, digits) && (allIn(s, lowerHex) || allIn(s, digits+"ABCDEF"))
}

func isDate(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

func isDateTime(s string) bool {
	if len(s) < 16 || s[4] != '-' {
		return false
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

func isURI(s string) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	return ok && rest != "" && allIn(scheme, word+"+-.") && !strings.ContainsAny(s, " \t\r\n<>\"")
}

// isPrefixedID knows ids such as "cus_9aXk2": a short lower-case word, then something that is not a word.
func isPrefixedID(s string) bool {
	k := strings.LastIndexByte(s, '_')
	if k < 2 || k > 12 || len(s)-k-1 < 5 || len(s) > 80 {
		return false
	}
	id := s[k+1:]
	return allIn(s[:k], letters+"_") && allIn(id, word) && strings.ContainsAny(id, digits)
}

func isBase64(s string) bool {
	if len(s) < 20 || !strings.ContainsAny(s, digits+"+/=") || !strings.ContainsAny(s, upper) || !strings.ContainsAny(s, letters) {
		return false
	}
	if len(s)%4 == 0 {
		_, err := base64.StdEncoding.DecodeString(s)
		if err == nil {
			return true
		}
	}
	_, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(s) >= 32
}
