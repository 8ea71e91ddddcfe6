package template

import (
	"strings"

	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// parameterName is "orderId" under "orders"; where the parent says nothing, the type does: "uuid", "date", "id".
func parameterName(parent string, known bool, types schema.Types) string {
	if only, ok := types.Only(); ok {
		switch only {
		case inventoryv1.ValueType_VALUE_TYPE_DATE, inventoryv1.ValueType_VALUE_TYPE_DATE_TIME:
			return "date"
		case inventoryv1.ValueType_VALUE_TYPE_UUID:
			if !known {
				return "uuid"
			}
		}
	}
	if !known {
		return "id"
	}
	return camel(parent) + "Id"
}

// speaks tells whether a literal can name what stands behind it.
func speaks(literal string) bool {
	return !prefixes[literal] && !version.MatchString(literal) && camel(literal) != "" && len(literal) <= 40
}

// prefixes lead to an API and name nothing in it.
var prefixes = map[string]bool{"api": true, "apis": true, "rest": true, "rpc": true, "v": true, "public": true, "internal": true, "private": true}

// camel turns "cart-items" into "cartItem".
func camel(literal string) string {
	words := strings.FieldsFunc(literal, notWord)
	if len(words) == 0 || words[0][0] >= '0' && words[0][0] <= '9' {
		return ""
	}
	words[len(words)-1] = singular(words[len(words)-1])
	var b strings.Builder
	for i, word := range words {
		if i == 0 {
			b.WriteString(strings.ToLower(word[:1]) + word[1:])
		} else {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// singular of an English plural, by its ending.
func singular(word string) string {
	small := strings.ToLower(word)
	if single, ok := irregular[small]; ok {
		return single
	}
	switch {
	case len(word) < 4:
		return word
	case strings.HasSuffix(small, "ies"):
		return word[:len(word)-3] + "y"
	case hasAnySuffix(small, "sses", "shes", "ches", "xes", "zzes", "tuses", "ruses", "nuses", "buses"):
		return word[:len(word)-2]
	case hasAnySuffix(small, "ss", "us", "is"):
		return word
	case strings.HasSuffix(small, "s"):
		return word[:len(word)-1]
	}
	return word
}

func hasAnySuffix(s string, suffixes ...string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(s, suffix) {
			return true
		}
	}
	return false
}

var irregular = map[string]string{
	"people": "person", "children": "child", "men": "man", "women": "woman", "indices": "index", "matrices": "matrix",
	"vertices": "vertex", "series": "series", "news": "news", "movies": "movie", "cookies": "cookie", "caches": "cache",
}

// notWord tells what parts the words of a name.
func notWord(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
}
