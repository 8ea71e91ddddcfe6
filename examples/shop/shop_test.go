package shop_test

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sidelight/sidelight/examples/shop"
)

// Every ordinary request must be answered with success, or the demo's inventory would lack its route.
func TestOrdinaryRequestsSucceed(t *testing.T) {
	t.Parallel()
	handler := shop.Handler()
	random := rand.New(rand.NewPCG(1, 2))
	for i, route := range shop.Routes() {
		for range 20 {
			ordinary := shop.Ordinary(i, random)
			request := httptest.NewRequest(ordinary.Method, ordinary.Target, bytes.NewReader(ordinary.Body))
			for _, header := range ordinary.Headers {
				request.Header.Add(header[0], header[1])
			}
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if answer.Code/100 != 2 {
				t.Fatalf("%s %s: status %d: %s", route.Method, ordinary.Target, answer.Code, answer.Body)
			}
		}
	}
}

func TestUnknownPathIsNotFound(t *testing.T) {
	t.Parallel()
	answer := httptest.NewRecorder()
	shop.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/etc/passwd", nil))
	if answer.Code != http.StatusNotFound {
		t.Fatalf("status %d, want 404", answer.Code)
	}
}
