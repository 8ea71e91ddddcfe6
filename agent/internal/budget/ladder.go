package budget

import "fmt"

// class is what a step sheds. The order is that of value: what tells most about an attack goes last.
type class int

const (
	nothing class = iota
	bodyTail
	body
	answerBody
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
	// leastAnswer holds the head of nearly every answer: without it nobody knows where the answer ends, and what the next is for.
	leastAnswer = 1 << 10
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
	if at.response > leastAnswer {
		at.response = leastAnswer
		step(answerBody)
	}
	for half := 1.0; half > leastKeep; half /= 2 {
		at.keep = half * 3 / 4
		step(exchanges)
		at.keep = half / 2
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
	case answerBody:
		return fmt.Sprintf("requests are copied up to %s, answers up to %s", size(r.request), size(r.response))
	case exchanges:
		return fmt.Sprintf("%.0f %% of all connections are kept, and left out first of the processes that have most", 100*r.keep)
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
