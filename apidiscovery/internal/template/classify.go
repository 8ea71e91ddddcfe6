package template

import (
	"encoding/base64"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

const (
	digits = "0123456789"
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alnum  = digits + lower + upper
)

var (
	version   = regexp.MustCompile(`^[vV]\d{1,3}([._-]?(\d{1,3}|alpha\d*|beta\d*|rc\d*))*$|^\d{1,2}(\.\d{1,3}){1,2}$`)
	uuid      = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	ulid      = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)
	objectID  = regexp.MustCompile(`^[0-9a-f]{24}$`)
	hexText   = regexp.MustCompile(`^([0-9a-f]{8,128}|[0-9A-F]{8,128})$`)
	email     = regexp.MustCompile(`^[\w.!#$%&'*+/=?^{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}$`)
	fileName  = regexp.MustCompile(`^[^/]*\.[A-Za-z][A-Za-z0-9]{0,7}$`)
	issueKey  = regexp.MustCompile(`^[A-Z][A-Z0-9]{1,9}-\d{2,12}$`)
	dashedID  = regexp.MustCompile(`^[a-z]{2,12}-\d{5,18}$`)
	wordRun   = regexp.MustCompile(`[A-Z]?[a-z]{3,}`)
	digitRun  = regexp.MustCompile(`\d+`)
	wordCount = regexp.MustCompile(`^[a-z]+\d{1,2}$`)
)

// Classify gives the type of a path segment that is a value by its looks. False: it is a literal as far as it can be told
// without its siblings. `first` says that it stands where versions stand: at the start, or after "api".
func Classify(segment string, first bool) (inventoryv1.ValueType, bool) {
	if segment == "" || len(segment) > 512 {
		return 0, false
	}
	if version.MatchString(segment) {
		return 0, false
	}
	switch {
	case isDigits(strings.TrimPrefix(segment, "-")):
		return integer(segment), true
	case uuid.MatchString(segment):
		return inventoryv1.ValueType_VALUE_TYPE_UUID, true
	case ulid.MatchString(segment) && strings.ContainsAny(segment, digits):
		return inventoryv1.ValueType_VALUE_TYPE_ULID, true
	case objectID.MatchString(segment) && strings.ContainsAny(segment, digits):
		return inventoryv1.ValueType_VALUE_TYPE_OBJECT_ID, true
	case hexText.MatchString(segment) && count(segment, digits) >= 2:
		return inventoryv1.ValueType_VALUE_TYPE_HEX, true
	case isDate(segment):
		// A date at the start names a version of the API: "/2015-03-31/functions".
		return inventoryv1.ValueType_VALUE_TYPE_DATE, !first
	case isDateTime(segment):
		return inventoryv1.ValueType_VALUE_TYPE_DATE_TIME, true
	case email.MatchString(segment):
		return inventoryv1.ValueType_VALUE_TYPE_EMAIL, true
	case isJWT(segment):
		return inventoryv1.ValueType_VALUE_TYPE_JWT, true
	}
	if address, err := netip.ParseAddr(segment); err == nil {
		if address.Is4() {
			return inventoryv1.ValueType_VALUE_TYPE_IPV4, true
		}
		return inventoryv1.ValueType_VALUE_TYPE_IPV6, true
	}
	switch {
	case fileName.MatchString(segment):
		return 0, false
	case isPrefixedID(segment):
		return inventoryv1.ValueType_VALUE_TYPE_PREFIXED_ID, true
	case isToken(segment):
		return inventoryv1.ValueType_VALUE_TYPE_BASE64, true
	}
	return 0, false
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, digits) == "" }

func integer(s string) inventoryv1.ValueType {
	magnitude := strings.TrimPrefix(s, "-")
	if len(magnitude) > 1 && magnitude[0] == '0' {
		// A code such as "0042" loses its zeros as a number.
		return inventoryv1.ValueType_VALUE_TYPE_STRING
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return inventoryv1.ValueType_VALUE_TYPE_BIG_INTEGER
	case int64(int32(n)) == n:
		return inventoryv1.ValueType_VALUE_TYPE_INT32
	}
	return inventoryv1.ValueType_VALUE_TYPE_INT64
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

func isJWT(s string) bool {
	if !strings.HasPrefix(s, "eyJ") || strings.Count(s, ".") != 2 {
		return false
	}
	head, _, _ := strings.Cut(s, ".")
	_, err := base64.RawURLEncoding.DecodeString(head)
	return err == nil
}

// isPrefixedID knows "cus_9aXk2", "sk_live_4eC39Hq", "user_4711", "PROJ-123", "invoice-204711".
func isPrefixedID(s string) bool {
	if issueKey.MatchString(s) || dashedID.MatchString(s) {
		return true
	}
	_, id, ok := cutPrefix(s)
	return ok && (isDigits(id) && len(id) >= 3 || len(id) >= 5 && !isDigits(id) && isRandom(id))
}

// cutPrefix splits at the last underscore: a word, then letters and digits.
func cutPrefix(s string) (prefix, id string, ok bool) {
	at := strings.LastIndexByte(s, '_')
	if at < 1 || at > 20 || len(s) > 96 {
		return "", "", false
	}
	prefix, id = s[:at], s[at+1:]
	return prefix, id, strings.Trim(prefix, lower+"_") == "" && id != "" && strings.Trim(id, alnum) == ""
}

// isToken knows random identifiers without a form of their own: base62, base64url, cuid.
func isToken(s string) bool {
	text := strings.TrimRight(s, "=")
	if strings.ContainsAny(text, "_-+/") {
		// A slug has these too; an identifier has all kinds of characters beside them.
		if len(text) < 20 || !strings.ContainsAny(text, digits) || !strings.ContainsAny(text, lower) || !strings.ContainsAny(text, upper) {
			return false
		}
		text = strings.NewReplacer("_", "", "-", "", "+", "", "/", "").Replace(text)
	}
	if len(text) < 10 || strings.Trim(text, alnum) != "" {
		return false
	}
	return isRandom(text) && (len(text) >= 20 || changes(text)*2 >= len(text))
}

// isRandom tells an identifier from a word: little of it could be words, or digits stand in too many places.
func isRandom(s string) bool {
	if wordCount.MatchString(s) {
		return false
	}
	words := 0
	for _, word := range wordRun.FindAllString(s, -1) {
		words += len(word)
	}
	if len(s) <= 8 {
		return count(s, digits) > 0 && words*2 <= len(s)
	}
	return changes(s) >= 3 && words*2 <= len(s) || len(digitRun.FindAllString(s, -1)) >= 3 && changes(s)*4 >= len(s)
}

// changes counts how often the kind of character changes.
func changes(s string) int {
	total := 0
	for i := 1; i < len(s); i++ {
		if kind(s[i]) != kind(s[i-1]) {
			total++
		}
	}
	return total
}

func kind(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return 0
	case c >= 'a' && c <= 'z':
		return 1
	case c >= 'A' && c <= 'Z':
		return 2
	}
	return 3
}

func count(s, set string) int {
	total := 0
	for i := range len(s) {
		if strings.IndexByte(set, s[i]) >= 0 {
			total++
		}
	}
	return total
}
