package mask

import (
	"bytes"
	"regexp"

	"github.com/sidelight/sidelight/processor/internal/recognise"
)

const star = '*'

var (
	numberRE  = regexp.MustCompile(`\d(?:[ -]?\d){12,18}`)
	jwtRE     = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?`)
	ssnRE     = regexp.MustCompile(`\b\d{3}-\d{2}-\d{4}\b`)
	ibanRE    = regexp.MustCompile(`\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b`)
	schemeRE  = regexp.MustCompile(`(?i)\b(?:bearer|basic|digest|token)(?: |%20|\+)+([A-Za-z0-9+/=_.~-]{6,})`)
	userRE    = regexp.MustCompile(`://[^/\s:@]*:([^/\s@]+)@`)
	settingRE = regexp.MustCompile(`(?i)(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key)[\w-]{0,16}(?:"|'|%22)?\s*(?:[:=]|%3[ad])\s*(?:"|'|%22)?([^&\s"',;<>{}]+)`)
)

// Text masks what can be told from a text by itself. It returns its argument if nothing had to be masked.
func Text(b []byte) []byte {
	out := cover{src: b}
	for _, at := range numberRE.FindAllIndex(b, -1) {
		if len(recognise.Classes(b[at[0]:at[1]])) > 0 {
			out.hide(at[0], at[1])
		}
	}
	for _, at := range ibanRE.FindAllIndex(b, -1) {
		if len(recognise.Classes(b[at[0]:at[1]])) > 0 {
			out.hide(at[0], at[1])
		}
	}
	for _, re := range []*regexp.Regexp{jwtRE, ssnRE} {
		for _, at := range re.FindAllIndex(b, -1) {
			out.hide(at[0], at[1])
		}
	}
	for _, re := range []*regexp.Regexp{schemeRE, userRE, settingRE} {
		for _, at := range re.FindAllSubmatchIndex(b, -1) {
			out.hide(at[2], at[3])
		}
	}
	return out.bytes()
}

// All masks everything.
func All(b []byte) []byte { return bytes.Repeat([]byte{star}, len(b)) }

// cover copies its source when the first range is hidden.
type cover struct{ src, dst []byte }

func (c *cover) hide(start, end int) {
	if start < 0 || end > len(c.src) {
		return
	}
	if c.dst == nil {
		c.dst = bytes.Clone(c.src)
	}
	for i := start; i < end; i++ {
		c.dst[i] = star
	}
}

func (c *cover) bytes() []byte {
	if c.dst == nil {
		return c.src
	}
	return c.dst
}
