package budget

import "fmt"

// class is what a step sheds. The order is that of value: what tells most about an attack goes last.
type class int

const (
	nothing class = iota
	bodyTail
	body
	responseHead
	exchanges
)

// rung is one step of the ladder, with all that the steps above it shed.
type rung struct {
	class             class
	request, response uint32
	// keep is the part of all exchanges that is kept.
	keep float64
}

const (
	// leastTail is where a body's tail ends and the body begins.
	leastTail = 4 << 10
	// headOnly holds the request line and the headers of nearly every request, credentials among them: these are never shed.
	// The programs cannot tell where a head ends, so what of a body fits beside a short one is still copied.
	headOnly = 2 << 10
	// leastHead holds the first headers of an answer, statusLine its status alone.
	leastHead  = 512
	statusLine = 64
	// leastKeep is the last step: some exchanges of everyone, so that a flood stays visible.
	leastKeep = 1.0 / 16
)

// ladder lists the steps below a ceiling; the first sheds nothing.
func ladder(c Ceiling) []rung {
	at := rung{nothing, c.Request, c.Response, 1}
	steps := []rung{at}
	step := func(to class) { at.class = to; steps = append(steps, at) }
	for at.request/2 >= leastTail {
		at.request /= 2
		step(bodyTail)
	}
	if at.request > headOnly {
		at.request = headOnly
		step(body)
	}
	for _, n := range []uint32{leastHead, statusLine} {
		if at.response > n {
			at.response = n
			step(responseHead)
		}
	}
	for at.keep > leastKeep {
		at.keep /= 2
		step(exchanges)
	}
	return steps
}

// text tells what a step sheds.
func (r rung) text(c Ceiling) string {
	switch r.class {
	case bodyTail:
		return fmt.Sprintf("request bodies are copied up to %s of %s", size(r.request), size(c.Request))
	case body:
		return fmt.Sprintf("requests are copied up to %s, their heads", size(r.request))
	case responseHead:
		return fmt.Sprintf("requests are copied up to %s, answers up to %s", size(r.request), size(r.response))
	case exchanges:
		return fmt.Sprintf("one exchange of %.0f is kept, first of the processes that have most", 1/r.keep)
	default:
		return ""
	}
}

func size(n uint32) string {
	if n%1024 == 0 {
		return fmt.Sprintf("%d KiB", n/1024)
	}
	return fmt.Sprintf("%d bytes", n)
}
