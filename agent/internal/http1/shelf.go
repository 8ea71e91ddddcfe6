package http1

// Shelf keeps messages that nobody needs any more, for those that come next: most of what reading a message costs is the
// memory for it. It belongs to one goroutine at a time. Without a shelf, each message gets memory of its own.
type Shelf struct {
	requests, usedRequests   []*Request
	responses, usedResponses []*Response
}

const (
	// shelved messages of each kind, at most: about as many as come and go between two others.
	shelved = 32
	// A message that needed more memory than most gives it back.
	shelvedHead, shelvedHeaders = 4 << 10, 64
)

// PutRequest takes a request that nobody will hold any part of at the next Clear.
func (s *Shelf) PutRequest(r *Request) {
	if len(s.requests)+len(s.usedRequests) < shelved && r.fits() {
		s.usedRequests = append(s.usedRequests, r)
	}
}

// PutResponse takes a response that nobody will hold any part of at the next Clear.
func (s *Shelf) PutResponse(r *Response) {
	if len(s.responses)+len(s.usedResponses) < shelved && r.fits() {
		s.usedResponses = append(s.usedResponses, r)
	}
}

// Clear makes what was put the next messages: nobody who may have had them is at work.
func (s *Shelf) Clear() {
	for _, r := range s.usedRequests {
		r.blank()
		r.Method, r.Target, r.Offset, r.Resumed, r.Tunnel, r.Plain = nil, nil, 0, false, false, false
		s.requests = append(s.requests, r)
	}
	for _, r := range s.usedResponses {
		r.blank()
		r.Status = 0
		s.responses = append(s.responses, r)
	}
	s.usedRequests, s.usedResponses = s.usedRequests[:0], s.usedResponses[:0]
}

func (s *Shelf) request() *Request {
	if s == nil || len(s.requests) == 0 {
		return &Request{}
	}
	last := len(s.requests) - 1
	r := s.requests[last]
	s.requests = s.requests[:last]
	return r
}

func (s *Shelf) response() *Response {
	if s == nil || len(s.responses) == 0 {
		return &Response{}
	}
	last := len(s.responses) - 1
	r := s.responses[last]
	s.responses = s.responses[:last]
	return r
}

func (m *message) fits() bool { return cap(m.Head) <= shelvedHead && cap(m.Headers) <= shelvedHeaders }

// blank makes a message an empty one with the memory of its head. Field by field, which a test watches over: to write it anew as a
// whole costs more than all else here.
func (m *message) blank() {
	m.Head, m.Headers, m.Anomalies = m.Head[:0], m.Headers[:0], m.Anomalies[:0]
	m.Trailers, m.Body, m.Gaps = nil, nil, nil
	m.Minor, m.BodySize, m.HeadDone, m.Complete = 0, 0, false, false
	m.kept, m.room, m.heads, m.counted = 0, 0, 0, false
}
