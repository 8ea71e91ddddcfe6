// Package shop is the demo API: a dozen routes of a small web shop with planted flaws, so that a demo has something
// real to find. Never run it where strangers reach it.
package shop

import (
	"net/http"
)

// Route is one row of the shop's own route table: the truth that a discovered inventory is held against.
type Route struct {
	Method string
	// Template in OpenAPI's form: "/products/{productId}".
	Template string
	handler  http.HandlerFunc
}

// Routes gives the route table.
func Routes() []Route {
	s := &store{}
	return []Route{
		{"GET", "/health", s.health},
		{"GET", "/products", s.products},
		{"GET", "/products/{productId}", s.product},
		{"GET", "/products/{productId}/reviews", s.reviews},
		{"POST", "/products/{productId}/reviews", s.addReview},
		{"GET", "/search", s.search},
		{"POST", "/cart/items", s.addItem},
		{"DELETE", "/cart/items/{itemId}", s.removeItem},
		{"POST", "/orders", s.addOrder},
		{"GET", "/orders/{orderId}", s.order},
		{"PUT", "/users/{userId}", s.updateUser},
		{"POST", "/login", s.login},
		{"POST", "/avatars", s.avatar},
		{"GET", "/docs/api", s.document},
		{"GET", "/docs/terms", s.document},
	}
}

// Handler serves the route table; everything else is 404.
func Handler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range Routes() {
		mux.HandleFunc(route.Method+" "+route.Template, route.handler)
	}
	return mux
}
