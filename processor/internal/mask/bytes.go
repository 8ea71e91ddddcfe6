package mask

import (
	"bytes"
	"regexp"
	"slices"

	"github.com/sidelight/sidelight/processor/internal/recognise"
)

const star = '*'

var (
	numberRE = regexp.MustCompile(`\d(?:[ -]?\d){12,18}`)
	jwtRE    = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?`)
	ssnRE    = regexp.MustCompile(`\b\d{3}-\d{2}-\d{4}\b`)
	ibanRE   = regexp.MustCompile(`\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b`)
	schemeRE = regexp.MustCompile(`(?i)\b(?:bearer|basic|digest|token)(?: |%20|\+)+([A-Za-z0-9+/=_.~-]{6,})`)
	userRE   = regexp.MustCompile(`://[^/\s:@]*:([^/\s@]+)@`)
	keyRE    = regexp.MustCompile(`\b(?:[sr]k_(?:live|test)_|gh[pousr]_|github_pat_|glpat-|xox[abpr]-|A[KS]IA|AIza|ya29\.)[A-Za-z0-9_-]{8,}`)
	// settingRE ends before the value, which is quoted, bracketed or bare.
	settingRE = regexp.MustCompile(`(?i)(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|sess(?:ion)?[_-]?id|credential)[\w-]{0,16}(?:\\*["']|%22)?\s*(?:[:=]|%3[ad])\s*`)
	// elementRE is an element of XML that is called like a secret.
	elementRE = regexp.MustCompile(`(?i)<(?:[\w.-]+:)?[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|session|iban|cvv|pin)[\w.-]*(?:\s[^>]*)?>([^<]+)`)
)

// rule is one pattern of what is masked. Most texts cannot match it for want of one of its literals, which is cheap to see.
type rule struct {
	re *regexp.Regexp
	// needs: one of these must stand in the text; none: any text will do.
	needs []string
	// digits that the text must hold at least.
	digits int
	// group is the part of the pattern that is hidden.
	group int
	// classes: only what is of a sensitive class, such as a card number with its check digit.
	classes bool
}

var textRules = []rule{
	{re: numberRE, digits: 13, classes: true},
	{re: ibanRE, digits: 2, classes: true},
	{re: jwtRE, needs: []string{"eyJ"}},
	{re: ssnRE, needs: []string{"-"}, digits: 9},
	{re: keyRE, needs: []string{"k_live_", "k_test_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "AKIA", "ASIA", "AIza", "ya29."}},
	{re: schemeRE, needs: []string{" ", "+", "%20"}, group: 1},
	{re: userRE, needs: []string{"://"}, group: 1},
	{re: elementRE, needs: []string{"<"}, group: 1},
}

func (r rule) possible(b []byte, digits int) bool {
	return digits >= r.digits && (len(r.needs) == 0 || holds(b, r.needs...))
}

func holds(b []byte, any ...string) bool {
	return slices.ContainsFunc(any, func(s string) bool { return bytes.Contains(b, []byte(s)) })
}

// Text masks what can be told from a text by itself. It returns its argument if nothing had to be masked.
func Text(b []byte) []byte {
	out := cover{src: b}
	digits := 0
	for _, c := range b {
		if c >= '0' && c <= '9' {
			digits++
		}
	}
	for _, r := range textRules {
		if !r.possible(b, digits) {
			continue
		}
		for _, at := range r.re.FindAllSubmatchIndex(b, -1) {
			if from, to := at[2*r.group], at[2*r.group+1]; !r.classes || len(recognise.Classes(b[from:to])) > 0 {
				out.hide(from, to)
			}
		}
	}
	if holds(b, ":", "=", "%3") {
		out.settings()
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

// hideWithin leaves the signs that hold a document together.
func (c *cover) hideWithin(start, end int) {
	for i := start; i < end; i++ {
		if bytes.IndexByte([]byte("[]{}\",: "), c.src[i]) < 0 {
			c.hide(i, i+1)
		}
	}
}

// hidden tells whether a byte was hidden.
func (c *cover) hidden(i int) bool { return c.dst != nil && i < len(c.dst) && c.dst[i] == star }

func (c *cover) bytes() []byte {
	if c.dst == nil {
		return c.src
	}
	return c.dst
}
