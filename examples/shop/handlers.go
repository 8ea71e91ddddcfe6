package shop

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// maxBody bounds what a handler reads: the shop is a demo target, not a sink.
const maxBody = 1 << 20

// store has no state: each answer follows from its request, so that runs with the same seed are alike.
type store struct{}

type product struct {
	ID    int     `json:"id"`
	Name  string  `json:"name"`
	Price float64 `json:"price"`
}

func (*store) health(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (*store) products(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, []product{{1, "Lamp", 39.5}, {2, "Chair", 89}, {3, "Table", 249}})
}

func (*store) product(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("productId"))
	if err != nil {
		problem(w, http.StatusNotFound, "no such product")
		return
	}
	answer(w, http.StatusOK, product{id, fmt.Sprintf("Product %d", id), 10})
}

func (*store) reviews(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, []map[string]any{{"stars": 5, "text": "Fine."}})
}

// addReview has a planted flaw: it gives the text back as HTML (stored XSS in the making).
func (*store) addReview(w http.ResponseWriter, r *http.Request) {
	var review struct {
		Stars int    `json:"stars"`
		Text  string `json:"text"`
	}
	if !read(w, r, &review) {
		return
	}
	answer(w, http.StatusCreated, map[string]any{"stars": review.Stars, "html": "<p>" + review.Text + "</p>"})
}

// search has a planted flaw: the query would be pasted into SQL, and an error of it is shown.
func (*store) search(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"statement": "select id from products where name like '%" + r.URL.Query().Get("q") + "%'",
		"results":   []product{},
	})
}

func (*store) addItem(w http.ResponseWriter, r *http.Request) {
	var item struct {
		ProductID int `json:"product_id"`
		Quantity  int `json:"quantity"`
	}
	if !read(w, r, &item) {
		return
	}
	answer(w, http.StatusCreated, item)
}

func (*store) removeItem(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusNoContent)
}

func (*store) addOrder(w http.ResponseWriter, r *http.Request) {
	var order map[string]any
	if !read(w, r, &order) {
		return
	}
	answer(w, http.StatusCreated, map[string]any{"order": order})
}

// order has a planted flaw: any client reads any order (BOLA).
func (*store) order(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, map[string]string{"id": r.PathValue("orderId"), "state": "shipped"})
}

// updateUser has a planted flaw: it takes every field it is given, `role` too (mass assignment).
func (*store) updateUser(w http.ResponseWriter, r *http.Request) {
	var user map[string]any
	if !read(w, r, &user) {
		return
	}
	user["id"] = r.PathValue("userId")
	answer(w, http.StatusOK, user)
}

func (*store) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if r.FormValue("password") == "" {
		problem(w, http.StatusUnauthorized, "wrong user or password")
		return
	}
	answer(w, http.StatusOK, map[string]string{"user": r.FormValue("user")})
}

func (*store) avatar(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	file, header, err := r.FormFile("image")
	if err != nil {
		problem(w, http.StatusBadRequest, "the form needs a file named image")
		return
	}
	defer file.Close()
	answer(w, http.StatusCreated, map[string]any{"file": header.Filename, "size": header.Size})
}

func (*store) document(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "<!doctype html><title>Shop</title><p>Documentation of the shop.</p>")
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(into); err != nil {
		problem(w, http.StatusBadRequest, "the body is not the JSON that this route takes")
		return false
	}
	return true
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client may be gone; a demo server has nobody to tell.
	_ = json.NewEncoder(w).Encode(body)
}

func problem(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}
