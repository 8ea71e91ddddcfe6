package edge

import (
	"errors"
	"net/http"
	"sync/atomic"

	"connectrpc.com/connect"
)

// Door answers "not yet" until somebody opens it with a handler.
type Door struct {
	behind atomic.Pointer[http.Handler]
}

// Open lets all requests from now on through to h.
func (d *Door) Open(h http.Handler) { d.behind.Store(&h) }

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := d.behind.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Retry-After", "2")
	Refuse(w, r, connect.NewError(connect.CodeUnavailable,
		errors.New("the console is waiting for its database: try again in a moment")))
}
