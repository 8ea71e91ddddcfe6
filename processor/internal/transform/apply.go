package transform

import "bytes"

// Names that only Sidelight uses; the others are SecLang's.
const (
	// Percent decodes %XX as a path does.
	Percent = "percent"
	// Form decodes %XX and "+" as a query string or a form does.
	Form = "url"
	// JSONString decodes the escapes of a JSON string without its quotes.
	JSONString = "json"
)

// Apply runs one transformation. False: it is not one that this package knows.
func Apply(name string, t Text) (Text, bool) {
	f := lookup(name)
	if f == nil {
		return t, false
	}
	return f(t), true
}

// ApplyAll runs transformations in order. False: one of them is unknown.
func ApplyAll(names []string, t Text) (Text, bool) {
	for _, name := range names {
		var ok bool
		if t, ok = Apply(name, t); !ok {
			return t, false
		}
	}
	return t, true
}

func lookup(name string) func(Text) Text {
	switch name {
	case "none":
		return func(t Text) Text { return t }
	case Percent:
		return func(t Text) Text { return unless(t, "%", percent) }
	case Form:
		return func(t Text) Text { return unless(t, "%+", form) }
	case JSONString:
		return func(t Text) Text { return unless(t, `\`, jsonString) }
	case "urlDecodeUni":
		return func(t Text) Text { return unless(t, "%+", urlDecodeUni) }
	case "utf8toUnicode":
		return utf8ToUnicode
	case "lowercase":
		return lowercase
	case "removeNulls":
		return func(t Text) Text { return unless(t, "\x00", removeNulls) }
	case "jsDecode":
		return func(t Text) Text { return unless(t, `\`, jsDecode) }
	case "cssDecode":
		return func(t Text) Text { return unless(t, `\`, cssDecode) }
	case "escapeSeqDecode":
		return func(t Text) Text { return unless(t, `\`, escapeSeqDecode) }
	case "htmlEntityDecode":
		return func(t Text) Text { return unless(t, "&", htmlEntityDecode) }
	case "cmdLine":
		return cmdLine
	case "removeWhitespace":
		return removeWhitespace
	case "compressWhitespace":
		return compressWhitespace
	case "replaceComments":
		return func(t Text) Text { return unless(t, "/", replaceComments) }
	case "removeCommentsChar":
		return removeCommentsChar
	case "normalizePath", "normalisePath":
		return normalizePath
	case "normalizePathWin", "normalisePathWin":
		return normalizePathWin
	}
	return nil
}

// unless skips a transformation whose trigger bytes are all absent: it would change nothing.
func unless(t Text, triggers string, f func(Text) Text) Text {
	if !bytes.ContainsAny(t.Data, triggers) {
		return t
	}
	return f(t)
}
