// Package table is the demo's table: what is sent, what was seen of it, and what stands in the console.
package table

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"

	"github.com/sidelight/sidelight/examples/shop"
	"github.com/sidelight/sidelight/processor/cases"
)

const (
	// ordinaryPerRoute is enough for every route to be published.
	ordinaryPerRoute = 12
	// casesPerKind attacks, and as many benign look-alikes.
	casesPerKind = 24
)

// Request is one request of the table and what is expected of it.
type Request struct {
	Name string
	Kind Kind
	// Nonce is the request's W3C trace id, by which it is found again.
	Nonce   string
	Request shop.Request
	Expect  []cases.Expectation
}

// Kind tells attacks from what must not be taken for one.
type Kind int

// The kinds.
const (
	Ordinary Kind = iota
	Attack
	LookAlike
)

func (k Kind) String() string {
	return [...]string{"ordinary", "attack", "look-alike"}[k]
}

// Plan draws the requests of a run. The seed decides everything but the nonces, which are new each time, so that
// what an earlier run left behind can never pass for this one.
func Plan(seed uint64) ([]Request, error) {
	random := mathrand.New(mathrand.NewPCG(seed, 0x51de))
	var list []Request
	for i, route := range shop.Routes() {
		for range ordinaryPerRoute {
			list = append(list, Request{Name: route.Method + " " + route.Template, Kind: Ordinary, Request: shop.Ordinary(i, random)})
		}
	}
	all, err := cases.All()
	if err != nil {
		return nil, fmt.Errorf("reading the attack cases: %w", err)
	}
	list = append(list, draw(all, true, random)...)
	list = append(list, draw(all, false, random)...)
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for i := range list {
		nonce := make([]byte, 16)
		if _, err := rand.Read(nonce); err != nil {
			return nil, fmt.Errorf("drawing a nonce: %w", err)
		}
		list[i].Nonce = hex.EncodeToString(nonce)
	}
	return list, nil
}

func draw(all []cases.Case, attacks bool, random *mathrand.Rand) []Request {
	var pool []cases.Case
	for _, c := range all {
		if c.Attack == attacks {
			pool = append(pool, c)
		}
	}
	random.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
	k := LookAlike
	if attacks {
		k = Attack
	}
	var drawn []Request
	for _, c := range pool[:min(casesPerKind, len(pool))] {
		drawn = append(drawn, Request{
			Name: c.File + "/" + c.Name, Kind: k, Expect: c.Expect,
			Request: shop.Request{Method: c.Method, Target: c.Target, Headers: c.Headers, Body: c.Body},
		})
	}
	return drawn
}

// wire writes the request as HTTP/1.1: the target and headers of a case must reach nginx as they stand.
func (r Request) wire(host string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Request.Method, r.Request.Target)
	if !r.has("Host") {
		fmt.Fprintf(&b, "Host: %s\r\n", host)
	}
	for _, header := range r.Request.Headers {
		// The nonce takes the place of a case's own trace.
		if !strings.EqualFold(header[0], "traceparent") {
			fmt.Fprintf(&b, "%s: %s\r\n", header[0], header[1])
		}
	}
	fmt.Fprintf(&b, "traceparent: 00-%s-%s-01\r\n", r.Nonce, r.Nonce[:16])
	if len(r.Request.Body) > 0 && !r.has("Content-Length") && !r.has("Transfer-Encoding") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.Request.Body))
	}
	b.WriteString("\r\n")
	b.Write(r.Request.Body)
	return b.Bytes()
}

func (r Request) has(header string) bool {
	return slices.ContainsFunc(r.Request.Headers, func(h [2]string) bool { return strings.EqualFold(h[0], header) })
}
