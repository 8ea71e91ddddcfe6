package mask

import (
	"bytes"
	"strings"
)

// attackWords are what attacks are written in and secrets are not. Within a secret no other word is shown.
var attackWords = set(` or and not xor like rlike union all select distinct insert into update set delete drop alter create table from where having
 group order by limit offset null is in exists between case when then else end as cast convert char chr concat sleep pg_sleep benchmark waitfor
 delay information_schema tables columns users version true false script svg img iframe body onerror onload onclick onfocus onmouseover src href
 javascript alert prompt confirm eval document cookie location style math xss etc passwd shadow hosts proc self environ windows win ini system32
 boot var log tmp bin sh bash cmd exe powershell cat ls id whoami uname curl wget nc ping echo system exec popen shell_exec passthru php phpinfo
 base64_decode include require file http https ftp gopher dict ldap ldaps rmi jndi dns localhost class mro subclasses globals builtins
 import os config request application self getclass forname runtime getruntime process constructor __proto__ prototype ne eq gt gte lt lte nin
 regex elemmatch objectclass uid dbms_pipe xp_cmdshell set_cookie content_length location doctype entity xml cdata`)

func set(words string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		out[w] = true
	}
	return out
}

// reveal shows of matched bytes of a secret only what is not the secret: signs, escapes and words of attacks. If no such
// word is in them, nothing is shown: signs alone may be the secret's own.
func reveal(matched []byte) []byte {
	out := bytes.Repeat([]byte{star}, len(matched))
	// begun: what stands before the first sign of an attack is the secret's.
	known, begun := false, false
	for at := 0; at < len(matched); {
		if n := escape(matched[at:]); n > 0 {
			begun = true
			copy(out[at:at+n], matched[at:at+n])
			at += n
			continue
		}
		end := at
		for end < len(matched) && wordByte(matched[end]) {
			end++
		}
		if end == at {
			if begun = begun || begins(matched[at:]); begun {
				out[at] = matched[at]
			}
			at++
			continue
		}
		word := matched[at:end]
		attack := attackWords[strings.ToLower(string(word))]
		known, begun = known || attack, begun || attack
		if attack || begun && len(word) == 1 {
			copy(out[at:end], word)
		}
		at = end
	}
	if !known {
		return All(matched)
	}
	return out
}

// begins tells whether an attack may begin with these bytes.
func begins(b []byte) bool {
	return bytes.IndexByte([]byte("'\"`<;|&$({"), b[0]) >= 0 || bytes.HasPrefix(b, []byte("../")) || bytes.HasPrefix(b, []byte(`..\`))
}

func wordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// escape gives the length of an escape that stands for a sign: %27, \u0027, \n. One that stands for a letter may hide a secret.
func escape(b []byte) int {
	switch {
	case len(b) >= 3 && b[0] == '%' && sign(b[1:3]):
		return 3
	case len(b) >= 6 && b[0] == '\\' && b[1] == 'u' && b[2] == '0' && b[3] == '0' && sign(b[4:6]):
		return 6
	case len(b) >= 2 && b[0] == '\\' && bytes.IndexByte([]byte(`bfnrt"\/`), b[1]) >= 0:
		return 2
	default:
		return 0
	}
}

// sign tells whether two hexadecimal digits are those of an ASCII byte that is no letter and no digit.
func sign(hex []byte) bool {
	v := 0
	for _, c := range hex {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | int(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			v = v<<4 | int(c|0x20-'a'+10)
		default:
			return false
		}
	}
	return v < 0x80 && !wordByte(byte(v))
}
