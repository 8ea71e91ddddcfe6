package mask

import "bytes"

// settings hides what stands behind the name of a secret.
func (c *cover) settings() {
	for _, at := range settingRE.FindAllIndex(c.src, -1) {
		from, to := setting(c.src, at[1])
		if from < to && (c.src[from] == '[' || c.src[from] == '{') {
			c.hideWithin(from, to)
			continue
		}
		c.hide(from, to)
	}
}

// setting gives the range of the value that begins at a place. What does not end is hidden to the end of the text.
func setting(b []byte, at int) (from, to int) {
	open := at
	for open < len(b) && b[open] == '\\' {
		open++
	}
	rest := b[at:]
	switch {
	case open < len(b) && (b[open] == '"' || b[open] == '\''):
		// A quote within a text within a text stands behind as many backslashes at its end.
		return open + 1, closing(b, open+1, b[at:open+1])
	case bytes.HasPrefix(rest, []byte("%22")):
		return at + 3, closing(b, at+3, rest[:3])
	case len(rest) > 0 && (rest[0] == '[' || rest[0] == '{'):
		return at, bracketed(b, at)
	}
	if k := bytes.IndexAny(rest, "& \t\r\n\"',;<>{}"); k >= 0 {
		return at, at + k
	}
	return at, len(b)
}

func closing(b []byte, at int, quote []byte) int {
	for i := at; i < len(b); i++ {
		if len(quote) == 1 && b[i] == '\\' {
			i++
			continue
		}
		if bytes.HasPrefix(b[i:], quote) {
			return i
		}
	}
	return len(b)
}

func bracketed(b []byte, at int) int {
	depth := 0
	for i := at; i < len(b); i++ {
		switch b[i] {
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(b)
}
