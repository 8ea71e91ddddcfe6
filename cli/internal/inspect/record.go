package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// record is one line: a recorded exchange. Keys that are not listed are ignored.
type record struct {
	ID       json.RawMessage `json:"id"`
	Time     *time.Time      `json:"time"`
	Client   string          `json:"client"`
	Method   string          `json:"method"`
	Target   string          `json:"target"`
	Version  string          `json:"version"`
	Headers  [][]string      `json:"headers"`
	Body     []byte          `json:"body_base64"`
	Response *struct {
		Status  uint32     `json:"status"`
		Headers [][]string `json:"headers"`
	} `json:"response"`
	Workload *struct {
		Cluster   string `json:"cluster"`
		Namespace string `json:"namespace"`
		Pod       string `json:"pod"`
		Container string `json:"container"`
	} `json:"workload"`
}

// versions that a record may name.
var versions = map[string]trafficv1.Protocol{
	"": trafficv1.Protocol_PROTOCOL_HTTP11, "1.1": trafficv1.Protocol_PROTOCOL_HTTP11, "HTTP/1.1": trafficv1.Protocol_PROTOCOL_HTTP11,
	"1.0": trafficv1.Protocol_PROTOCOL_HTTP10, "HTTP/1.0": trafficv1.Protocol_PROTOCOL_HTTP10,
	"2": trafficv1.Protocol_PROTOCOL_HTTP2, "2.0": trafficv1.Protocol_PROTOCOL_HTTP2,
	"HTTP/2": trafficv1.Protocol_PROTOCOL_HTTP2, "HTTP/2.0": trafficv1.Protocol_PROTOCOL_HTTP2,
}

// parse turns a line into an exchange. The error says what the line lacks.
func parse(line []byte, number int) (*trafficv1.Exchange, json.RawMessage, error) {
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, nil, fmt.Errorf("not a recorded exchange: %w", err)
	}
	if r.Method == "" || r.Target == "" {
		return nil, r.ID, errors.New(`"method" and "target" are required`)
	}
	request, err := r.request()
	if err != nil {
		return nil, r.ID, err
	}
	exchange := &trafficv1.Exchange{
		// Lines are no duplicates of one another, whatever they say of themselves.
		Id:       fmt.Appendf(nil, "%016x", number),
		Revision: 1, ContentRevision: 1, Replayed: true,
		Phase: trafficv1.Phase_PHASE_CLOSED, CloseReason: trafficv1.CloseReason_CLOSE_REASON_ANSWERED,
		Request: request, Times: &trafficv1.Times{}, Connection: &trafficv1.Connection{},
	}
	if r.Time != nil {
		exchange.Times.RequestStart = timestamppb.New(*r.Time)
		exchange.Times.ObservedAt = exchange.Times.RequestStart
	}
	if r.Client != "" {
		address, err := netip.ParseAddr(r.Client)
		if err != nil {
			return nil, r.ID, fmt.Errorf(`"client" %q is no IP address`, r.Client)
		}
		exchange.Client = &trafficv1.Client{Address: address.String(), Source: trafficv1.Client_SOURCE_PEER}
		exchange.Connection.Peer = &trafficv1.SocketAddress{Ip: address.AsSlice()}
	}
	if r.Response != nil {
		headers, err := wireHeaders(r.Response.Headers)
		if err != nil {
			return nil, r.ID, fmt.Errorf(`"response": %w`, err)
		}
		exchange.Response = &trafficv1.Response{Status: r.Response.Status, Headers: headers}
	}
	if w := r.Workload; w != nil {
		exchange.Workload = &trafficv1.Workload{Cluster: w.Cluster, Namespace: w.Namespace, Pod: w.Pod, Container: w.Container}
	}
	return exchange, r.ID, nil
}

func (r *record) request() (*trafficv1.Request, error) {
	method, err := wireBytes("method", r.Method)
	if err != nil {
		return nil, err
	}
	target, err := wireBytes("target", r.Target)
	if err != nil {
		return nil, err
	}
	headers, err := wireHeaders(r.Headers)
	if err != nil {
		return nil, err
	}
	protocol, known := versions[r.Version]
	if !known {
		return nil, fmt.Errorf(`"version" %q: want 1.0, 1.1 or 2`, r.Version)
	}
	request := &trafficv1.Request{
		Method: method, Target: target, Protocol: protocol, Headers: headers,
		BodySize: uint64(len(r.Body)), BodyComplete: true,
	}
	if len(r.Body) > 0 {
		request.Body = []*trafficv1.BodySegment{{Data: r.Body}}
	}
	for _, header := range headers {
		if bytes.EqualFold(header.GetName(), []byte("Host")) || bytes.Equal(header.GetName(), []byte(":authority")) {
			request.Authority = header.GetValue()
			break
		}
	}
	return request, nil
}

func wireHeaders(pairs [][]string) ([]*trafficv1.Header, error) {
	headers := make([]*trafficv1.Header, 0, len(pairs))
	for i, pair := range pairs {
		if len(pair) != 2 {
			return nil, fmt.Errorf(`"headers" entry %d has %d texts: want ["name","value"]`, i+1, len(pair))
		}
		name, err := wireBytes("header name", pair[0])
		if err != nil {
			return nil, err
		}
		value, err := wireBytes("header "+pair[0], pair[1])
		if err != nil {
			return nil, err
		}
		headers = append(headers, &trafficv1.Header{Name: name, Value: value})
	}
	return headers, nil
}

// wireBytes reads a text in which every character stands for one byte.
func wireBytes(what, text string) ([]byte, error) {
	wire := make([]byte, 0, len(text))
	for _, char := range text {
		if char > 0xff {
			return nil, fmt.Errorf("%s: character %U is no byte: every character stands for one byte, so write UTF-8 byte by byte (é = \\u00c3\\u00a9)", what, char)
		}
		wire = append(wire, byte(char))
	}
	return wire, nil
}

// wireText is the way back: one character for each byte.
func wireText(wire []byte) string {
	text := make([]rune, len(wire))
	for i, b := range wire {
		text[i] = rune(b)
	}
	return string(text)
}
