// Package mask takes secrets out of whatever leaves the processor: credentials, cookies, card and id numbers. Masked bytes
// become stars one for one, so that ranges stay true.
package mask

import (
	"strings"

	"github.com/sidelight/sidelight/processor/internal/decode"
)

// secretWords are looked for in lower case within a name without "-" and "_".
var secretWords = []string{
	"password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "accesskey", "privatekey", "authkey", "session",
	"credential", "authorization", "cookie", "csrf", "xsrf", "cardnumber", "creditcard", "ccnumber", "cvv", "cvc", "ssn", "otp",
	"signature", "iban", "jwt", "bearer", "subscriptionkey", "functionskey", "authcode", "mfacode",
}

// Sensitive tells by its name whether a point holds a secret. All cookies do.
func Sensitive(p decode.Point) bool {
	switch p.Location {
	case decode.Cookie:
		return true
	case decode.Query, decode.Header, decode.Form, decode.JSON, decode.Multipart:
		return SecretName(p.Param)
	default:
		return false
	}
}

// SecretName tells whether what is called so is a secret.
func SecretName(name string) bool {
	name = strings.ToLower(name)
	for _, separator := range []string{"-", "_", " "} {
		name = strings.ReplaceAll(name, separator, "")
	}
	if name == "auth" || name == "xauth" || name == "pin" || name == "pass" || name == "card" || name == "sid" || name == "sig" {
		return true
	}
	for _, w := range secretWords {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}
