package transform

import "bytes"

// segment is bytes [start, end) of the text, one name of a path.
type segment struct{ start, end int }

// clean resolves ".", ".." and doubled slashes, and keeps a slash at the end.
func clean(d []byte) (rooted bool, kept []segment, trailing bool) {
	rooted = len(d) > 0 && d[0] == '/'
	trailing = len(d) > 0 && d[len(d)-1] == '/'
	for i := 0; i < len(d); {
		if d[i] == '/' {
			i++
			continue
		}
		end := i
		for end < len(d) && d[end] != '/' {
			end++
		}
		switch name := string(d[i:end]); {
		case name == ".":
		case name != "..":
			kept = append(kept, segment{i, end})
		case len(kept) > 0 && string(d[kept[len(kept)-1].start:kept[len(kept)-1].end]) != "..":
			kept = kept[:len(kept)-1]
		case !rooted:
			kept = append(kept, segment{i, end})
		}
		i = end
	}
	return rooted, kept, trailing
}

// join writes segments with slashes, each slash at the place where it stands before its name.
func join(t Text, rooted bool, kept []segment, trailing bool) Text {
	b := newBuilder(t, 1)
	for n, s := range kept {
		if n > 0 || rooted {
			b.put('/', max(0, s.start-1), s.start)
		}
		for i := s.start; i < s.end; i++ {
			b.keep(i)
		}
	}
	last := len(t.Data) - 1
	if len(kept) == 0 && rooted {
		b.put('/', 0, 1)
	}
	if trailing && len(kept) > 0 {
		b.put('/', last, last+1)
	}
	return b.text()
}

func normalizePath(t Text) Text {
	if len(t.Data) == 0 {
		return t
	}
	rooted, kept, trailing := clean(t.Data)
	return join(t, rooted, kept, trailing)
}

// normalizePathWin also takes backslashes for slashes, drops the stream of an NTFS name, and the dots and blanks that
// Windows ignores at the end of a name.
func normalizePathWin(t Text) Text {
	if len(t.Data) == 0 {
		return t
	}
	b := newBuilder(t, 0)
	for i, c := range t.Data {
		if c == '\\' {
			c = '/'
		}
		b.put(c, i, i+1)
	}
	t = b.text()
	rooted, kept, trailing := clean(t.Data)
	if n := len(kept) - 1; n >= 0 {
		last := &kept[n]
		from := last.start
		if n == 0 && !rooted && last.end-from >= 2 && t.Data[from+1] == ':' && isLetter(t.Data[from]) {
			from += 2
		}
		if k := bytes.IndexByte(t.Data[from:last.end], ':'); k >= 0 {
			last.end = from + k
		}
	}
	out := kept[:0]
	for _, s := range kept {
		name := t.Data[s.start:s.end]
		if len(bytes.Trim(name, ".")) > 0 {
			s.end = s.start + len(bytes.TrimRight(name, ". "))
			if s.end == s.start {
				continue
			}
		}
		out = append(out, s)
	}
	return join(t, rooted, out, trailing)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
