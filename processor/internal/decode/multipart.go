package decode

import (
	"bytes"
	"mime"
	"strings"
)

// multipart reads form-data: fields, file names, and the beginning of each file.
func (d *decoder) multipart(body []byte) {
	_, params, err := mime.ParseMediaType(string(d.req.HeaderValue("Content-Type")))
	boundary := params["boundary"]
	if boundary == "" || len(boundary) > 256 {
		d.missed("multipart without a usable boundary")
		d.raw("body", Body, body)
		return
	}
	_ = err // A media type with a bad parameter still gives the boundary.
	mark := []byte("--" + boundary)
	at := boundaryAt(body, mark, 0)
	if at < 0 {
		d.missed("multipart body without its boundary")
		d.raw("body", Body, body)
		return
	}
	for !d.stopped {
		at += len(mark)
		if bytes.HasPrefix(body[at:], []byte("--")) {
			return
		}
		start, ok := lineEnd(body, at)
		if !ok {
			d.missed("multipart body ends early")
			return
		}
		next := boundaryAt(body, mark, start)
		end := len(body)
		if next >= 0 {
			end = trimBreak(body, start, next)
		}
		d.part(body, start, end)
		if next < 0 {
			d.missed("multipart body ends early")
			return
		}
		at = next
	}
}

// boundaryAt finds the next boundary that stands at the start of a line.
func boundaryAt(body, mark []byte, from int) int {
	for from <= len(body) {
		k := bytes.Index(body[from:], mark)
		if k < 0 {
			return -1
		}
		at := from + k
		if at == 0 || body[at-1] == '\n' {
			return at
		}
		from = at + 1
	}
	return -1
}

// lineEnd gives the start of the next line.
func lineEnd(body []byte, at int) (int, bool) {
	k := bytes.IndexByte(body[at:], '\n')
	return at + k + 1, k >= 0
}

// trimBreak takes off the line break that belongs to the boundary at next.
func trimBreak(body []byte, start, next int) int {
	end := next
	if end > start && body[end-1] == '\n' {
		end--
	}
	if end > start && body[end-1] == '\r' {
		end--
	}
	return end
}

// part reads one part, headers first.
func (d *decoder) part(body []byte, start, end int) {
	var name, file Range
	hasFile := false
	for start < end {
		next, ok := lineEnd(body[:end], start)
		if !ok {
			d.missed("multipart part without a body")
			return
		}
		line := bytes.TrimRight(body[start:next], "\r\n")
		if len(line) == 0 {
			start = next
			break
		}
		if k := bytes.IndexByte(line, ':'); k > 0 && strings.EqualFold(string(bytes.TrimSpace(line[:k])), "content-disposition") {
			name, _ = dispositionParam(body, start+k+1, start+len(line), "name")
			file, hasFile = dispositionParam(body, start+k+1, start+len(line), "filename")
			if star, ok := dispositionParam(body, start+k+1, start+len(line), "filename*"); ok {
				file, hasFile = star, true
			}
		}
		start = next
	}
	param := label(d.req.RawBytes(name))
	if name.End > name.Start && !d.add(Point{Name: "body.multipart_name", Location: MultipartName, Param: param, Value: d.req.RawBytes(name), Raw: name}) {
		return
	}
	at := Range{Part: PartBody, Start: start, End: end}
	if !hasFile {
		d.add(newPoint("body.multipart."+param, Multipart, param, at, body[start:end], nil))
		return
	}
	if !d.add(newPoint("body.multipart."+param+".filename", FileName, param, file, d.req.RawBytes(file), nil)) {
		return
	}
	if end-start > d.limits.File {
		at.End = start + d.limits.File
		d.missed("overlimit: file content")
	}
	p := Point{Name: "body.multipart." + param + ".content", Location: FileContent, Param: param, Value: body[at.Start:at.End], Raw: at}
	if binary(p.Value) {
		p.Kind = KindBinary
	}
	d.add(p)
}

// dispositionParam finds a parameter's value, without its quotes, in a header line at body[start:end].
func dispositionParam(body []byte, start, end int, want string) (Range, bool) {
	for at := start; at < end; {
		stop, quoted := at, false
		for stop < end && (quoted || body[stop] != ';') {
			if body[stop] == '\\' && quoted {
				stop++
			} else if body[stop] == '"' {
				quoted = !quoted
			}
			stop++
		}
		stop = min(stop, end)
		if k := bytes.IndexByte(body[at:stop], '='); k >= 0 && strings.EqualFold(string(bytes.TrimSpace(body[at:at+k])), want) {
			lo, hi := at+k+1, stop
			for lo < hi && (body[lo] == ' ' || body[lo] == '\t') {
				lo++
			}
			for hi > lo && (body[hi-1] == ' ' || body[hi-1] == '\t') {
				hi--
			}
			if hi-lo >= 2 && body[lo] == '"' && body[hi-1] == '"' {
				lo, hi = lo+1, hi-1
			}
			return Range{Part: PartBody, Start: lo, End: hi}, true
		}
		at = stop + 1
	}
	return Range{}, false
}
