package recognise

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
)

// Sensitive classes.
const (
	ClassCard  = "credit_card"
	ClassIBAN  = "iban"
	ClassEmail = "email"
	ClassPhone = "phone"
	ClassJWT   = "jwt"
	ClassSSN   = "ssn"
)

// Classes gives the sensitive classes of a whole value.
func Classes(value []byte) []string {
	if len(value) < 5 || len(value) > longest {
		return nil
	}
	s := strings.TrimSpace(string(value))
	if s == "" {
		return nil
	}
	switch {
	case isCard(s):
		return []string{ClassCard}
	case isIBAN(s):
		return []string{ClassIBAN}
	case isSSN(s):
		return []string{ClassSSN}
	case isEmail(s):
		return []string{ClassEmail}
	case isJWT(strings.TrimPrefix(strings.TrimPrefix(s, "Bearer "), "bearer ")):
		return []string{ClassJWT}
	case isPhone(s):
		return []string{ClassPhone}
	default:
		return nil
	}
}

// isCard asks for a length and first digit that cards have, and for the check digit.
func isCard(s string) bool {
	if s[0] < '2' || s[0] > '6' || !allIn(s, digits+" -") {
		return false
	}
	number := strings.ReplaceAll(strings.ReplaceAll(s, " ", ""), "-", "")
	if len(number) < 13 || len(number) > 19 {
		return false
	}
	return Luhn(number)
}

// Luhn checks the last digit of a number.
func Luhn(number string) bool {
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

func isIBAN(s string) bool {
	if len(s) < 15 || !allIn(s[:2], upper) {
		return false
	}
	s = strings.ReplaceAll(s, " ", "")
	if len(s) < 15 || len(s) > 34 || !allIn(s[2:4], digits) || !allIn(s[4:], digits+upper) {
		return false
	}
	var b strings.Builder
	for _, c := range s[4:] + s[:4] {
		if c >= 'A' {
			b.WriteByte('0' + byte(c-'A'+10)/10)
			b.WriteByte('0' + byte(c-'A'+10)%10)
			continue
		}
		b.WriteRune(c)
	}
	n, ok := new(big.Int).SetString(b.String(), 10)
	return ok && new(big.Int).Mod(n, big.NewInt(97)).Int64() == 1
}

// isSSN knows a US social security number as it is written, 219-09-9999.
func isSSN(s string) bool {
	if len(s) != 11 || s[3] != '-' || s[6] != '-' || !allIn(s[:3]+s[4:6]+s[7:], digits) {
		return false
	}
	return s[:3] != "000" && s[:3] != "666" && s[0] != '9' && s[4:6] != "00" && s[7:] != "0000"
}

func isEmail(s string) bool {
	user, host, ok := strings.Cut(s, "@")
	if !ok || user == "" || len(s) > 254 || !allIn(user, word+".!#$%&'*+/=?^_`{|}~-") || !allIn(host, word+".-") {
		return false
	}
	dot := strings.LastIndexByte(host, '.')
	return dot > 0 && dot < len(host)-2 && host[0] != '.' && host[0] != '-'
}

// isPhone asks for the plus sign or for separators: digits alone are any number.
func isPhone(s string) bool {
	n := len(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s))
	if n < 8 || n > 15 || !allIn(s, digits+"+ ()-./") {
		return false
	}
	return s[0] == '+' || s[0] == '(' && strings.Contains(s, ") ")
}

func isJWT(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || !strings.HasPrefix(s, "eyJ") {
		return false
	}
	head, err := base64.RawURLEncoding.DecodeString(parts[0])
	return err == nil && json.Valid(head)
}
