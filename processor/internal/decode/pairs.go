package decode

import (
	"bytes"
)

// pairs says what the names and values of a list are called.
type pairs struct {
	part        Part
	value, name Location
	prefix      string
	namePoint   string
}

// pairs reads a=b&c=d; start is where the list begins in its part.
func (d *decoder) pairs(list []byte, start int, as pairs) {
	for at := 0; at < len(list); {
		end := len(list)
		if k := bytes.IndexByte(list[at:], '&'); k >= 0 {
			end = at + k
		}
		if end > at && !d.pair(list, at, end, start, as) {
			return
		}
		at = end + 1
	}
}

func (d *decoder) pair(list []byte, at, end, start int, as pairs) bool {
	eq := end
	value := end
	if k := bytes.IndexByte(list[at:end], '='); k >= 0 {
		eq, value = at+k, at+k+1
	}
	name := newPoint(as.namePoint, as.name, "", Range{Part: as.part, Start: start + at, End: start + eq}, list[at:eq], stepsForm)
	param := label(name.Value)
	name.Param = param
	return d.add(newPoint(as.prefix+param, as.value, param, Range{Part: as.part, Start: start + value, End: start + end}, list[value:end], stepsForm)) &&
		d.add(name)
}
