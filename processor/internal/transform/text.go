// Package transform applies the transformations that rules ask for and remembers which bytes of the input each byte of the
// output came from, so that a match in a transformed value can be shown in the bytes that stood on the wire.
package transform

// Text is bytes with their origin.
type Text struct {
	Data []byte
	// Byte i of Data was made of input bytes [from[i], to[i]). Nil: byte i is input byte i.
	from, to []int32
}

// Plain is a text that is its own origin.
func Plain(data []byte) Text { return Text{Data: data} }

// Wrapped puts bytes that are nowhere in the input around a text: they come from its very start and end.
func Wrapped(prefix string, t Text, suffix string) Text {
	b := newBuilder(t, len(prefix)+len(suffix))
	for i := range len(prefix) {
		b.put(prefix[i], 0, 0)
	}
	for i := range t.Data {
		b.keep(i)
	}
	for i := range len(suffix) {
		b.put(suffix[i], len(t.Data), len(t.Data))
	}
	return b.text()
}

// Slice is a part of a text; it keeps its origin.
func (t Text) Slice(start, end int) Text {
	b := newBuilder(t, 0)
	for i := max(0, start); i < min(end, len(t.Data)); i++ {
		b.keep(i)
	}
	return b.text()
}

// Source gives the range of the input from which Data[start:end] was made.
func (t Text) Source(start, end int) (int, int) {
	start = min(max(start, 0), len(t.Data))
	end = min(max(end, start), len(t.Data))
	if t.from == nil {
		return start, end
	}
	if start == end {
		at := t.position(start)
		return at, at
	}
	lo, hi := t.from[start], t.to[start]
	for i := start + 1; i < end; i++ {
		lo, hi = min(lo, t.from[i]), max(hi, t.to[i])
	}
	return int(lo), int(hi)
}

// position is where byte i begins in the input; i may be one past the end.
func (t Text) position(i int) int {
	switch {
	case t.from == nil:
		return i
	case i < len(t.from):
		return int(t.from[i])
	case len(t.to) > 0:
		return int(t.to[len(t.to)-1])
	default:
		return 0
	}
}

// builder makes the next text out of the one before it.
type builder struct {
	in       Text
	out      []byte
	from, to []int32
}

func newBuilder(in Text, extra int) *builder {
	n := len(in.Data) + extra
	return &builder{in: in, out: make([]byte, 0, n), from: make([]int32, 0, n), to: make([]int32, 0, n)}
}

// put adds one byte that was made of bytes [i, j) of the text before.
func (b *builder) put(c byte, i, j int) {
	lo, hi := b.in.Source(i, j)
	b.out = append(b.out, c)
	b.from = append(b.from, int32(lo))
	b.to = append(b.to, int32(hi))
}

// puts adds several bytes that were all made of bytes [i, j).
func (b *builder) puts(s string, i, j int) {
	for k := range len(s) {
		b.put(s[k], i, j)
	}
}

func (b *builder) keep(i int) { b.put(b.in.Data[i], i, i+1) }

// drop takes the last byte back.
func (b *builder) drop() {
	n := len(b.out) - 1
	b.out, b.from, b.to = b.out[:n], b.from[:n], b.to[:n]
}

func (b *builder) text() Text { return Text{Data: b.out, from: b.from, to: b.to} }
