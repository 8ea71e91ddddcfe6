// Package secret tells by its look whether a text is a credential: something random that a machine made, in a place where
// nobody gave it a name. Names of developers, numbers, dates and the usual kinds of identifiers are not.
package secret

import "bytes"

const (
	// shortest token that is worth hiding; what is shorter is an identifier more often than a key.
	shortest = 20
	// shortestHex is a hash or key in hexadecimal digits. 24 digits are an object id, and shorter ones a revision.
	shortestHex = 32
	// switches is how often a token changes between letters and digits at least; words with a number in them do so twice.
	switches = 3
)

var prefixes = [][]byte{
	[]byte("sk_live_"), []byte("sk_test_"), []byte("rk_live_"), []byte("ghp_"), []byte("gho_"), []byte("ghs_"), []byte("github_pat_"),
	[]byte("glpat-"), []byte("xoxb-"), []byte("xoxp-"), []byte("AKIA"), []byte("ASIA"), []byte("AIza"), []byte("ya29."),
}

// Token tells whether a whole text is a credential.
func Token(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	if jwt(b) {
		return true
	}
	for _, p := range prefixes {
		if bytes.HasPrefix(b, p) && len(b) >= len(p)+8 && charset(b) {
			return true
		}
	}
	if len(b) < shortest || !charset(b) || uuid(b) || ulid(b) {
		return false
	}
	if hexadecimal(b) {
		return len(b) >= shortestHex
	}
	return random(b)
}

// Runs gives the ranges of the parts of a text that are tokens; "wordpress_logged_in_<hash>" has one. Nil: none.
func Runs(b []byte) [][2]int {
	if len(b) < shortest {
		return nil
	}
	if jwt(b) {
		return [][2]int{{0, len(b)}}
	}
	var out [][2]int
	for start := 0; start < len(b); {
		end := start
		for end < len(b) && alnum(b[end]) {
			end++
		}
		if end-start >= shortest && Token(b[start:end]) {
			out = append(out, [2]int{start, end})
		}
		start = end + 1
	}
	if out == nil && Token(b) {
		// Its own separators cut it into short runs.
		return [][2]int{{0, len(b)}}
	}
	return out
}

func alnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// charset is what tokens are written in.
func charset(b []byte) bool {
	for _, c := range b {
		if !alnum(c) && bytes.IndexByte([]byte("-_.~+/=:"), c) < 0 {
			return false
		}
	}
	return true
}

func hexadecimal(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

// jwt is three parts of base64, of which the first is a JSON object.
func jwt(b []byte) bool {
	return bytes.HasPrefix(b, []byte("eyJ")) && len(b) >= shortest && bytes.IndexByte(b, '.') > 0 && charset(b)
}

func uuid(b []byte) bool {
	return len(b) == 36 && b[8] == '-' && b[13] == '-' && b[18] == '-' && b[23] == '-' && hexadecimal(bytes.ReplaceAll(b, []byte("-"), nil))
}

// ulid is an identifier of 26 digits and capitals that begins with a time.
func ulid(b []byte) bool {
	if len(b) != 26 || b[0] < '0' || b[0] > '7' {
		return false
	}
	for _, c := range b {
		if c >= 'a' && c <= 'z' || !alnum(c) {
			return false
		}
	}
	return true
}

// random tells machine-made from words: within one run it changes between letters and digits, or between cases, as no word does.
func random(b []byte) bool {
	digits, cases, letters := 0, 0, 0
	for i := 1; i < len(b); i++ {
		p, c := b[i-1], b[i]
		if !alnum(p) || !alnum(c) {
			continue
		}
		pd, cd := p <= '9', c <= '9'
		switch {
		case pd != cd:
			digits++
		case !pd:
			letters++
			if p&0x20 != c&0x20 {
				cases++
			}
		}
	}
	return digits >= switches && digits+cases >= len(b)/5 || letters >= shortest/2 && cases*5 > letters*2
}
