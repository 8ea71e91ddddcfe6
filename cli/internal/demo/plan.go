package demo

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

// planned is one request of the demo and what is expected of it.
type planned struct {
	name    string
	kind    kind
	nonce   string
	request shop.Request
	expect  []cases.Expectation
}

type kind int

const (
	ordinary kind = iota
	attack
	lookAlike
)

func (k kind) String() string {
	return [...]string{"ordinary", "attack", "look-alike"}[k]
}

// plan draws the requests of a run. The seed decides everything but the nonces, which are new each time, so that
// what an earlier run left behind can never pass for this one.
func plan(seed uint64) ([]planned, error) {
	random := mathrand.New(mathrand.NewPCG(seed, 0x51de))
	var list []planned
	for i, route := range shop.Routes() {
		for range ordinaryPerRoute {
			list = append(list, planned{name: route.Method + " " + route.Template, kind: ordinary, request: shop.Ordinary(i, random)})
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
		list[i].nonce = hex.EncodeToString(nonce)
	}
	return list, nil
}

func draw(all []cases.Case, attacks bool, random *mathrand.Rand) []planned {
	var pool []cases.Case
	for _, c := range all {
		if c.Attack == attacks {
			pool = append(pool, c)
		}
	}
	random.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
	k := lookAlike
	if attacks {
		k = attack
	}
	var drawn []planned
	for _, c := range pool[:min(casesPerKind, len(pool))] {
		drawn = append(drawn, planned{
			name: c.File + "/" + c.Name, kind: k, expect: c.Expect,
			request: shop.Request{Method: c.Method, Target: c.Target, Headers: c.Headers, Body: c.Body},
		})
	}
	return drawn
}

// wire writes the request as HTTP/1.1: the target and headers of a case must reach nginx as they stand.
func (p planned) wire(host string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", p.request.Method, p.request.Target)
	if !p.has("Host") {
		fmt.Fprintf(&b, "Host: %s\r\n", host)
	}
	for _, header := range p.request.Headers {
		// The nonce takes the place of a case's own trace.
		if !strings.EqualFold(header[0], "traceparent") {
			fmt.Fprintf(&b, "%s: %s\r\n", header[0], header[1])
		}
	}
	fmt.Fprintf(&b, "traceparent: 00-%s-%s-01\r\n", p.nonce, p.nonce[:16])
	if len(p.request.Body) > 0 && !p.has("Content-Length") && !p.has("Transfer-Encoding") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(p.request.Body))
	}
	b.WriteString("\r\n")
	b.Write(p.request.Body)
	return b.Bytes()
}

func (p planned) has(header string) bool {
	return slices.ContainsFunc(p.request.Headers, func(h [2]string) bool { return strings.EqualFold(h[0], header) })
}
