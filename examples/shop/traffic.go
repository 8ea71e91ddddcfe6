package shop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"strings"
)

// Request is one ordinary request of a shop customer.
type Request struct {
	Method  string
	Target  string
	Headers [][2]string
	Body    []byte
}

// Ordinary gives one request to the route with this index in Routes, with values drawn from `random`.
func Ordinary(route int, random *rand.Rand) Request {
	r := Routes()[route]
	target := r.Template
	for name, value := range map[string]string{
		"{productId}": fmt.Sprint(1 + random.IntN(90000)),
		"{userId}":    fmt.Sprint(1 + random.IntN(90000)),
		"{itemId}":    uuid(random),
		"{orderId}":   "ord_" + letters(random, 14),
	} {
		target = strings.ReplaceAll(target, name, value)
	}
	request := Request{Method: r.Method, Target: target, Headers: [][2]string{
		{"User-Agent", userAgents[random.IntN(len(userAgents))]}, {"Accept", "application/json, text/html;q=0.8, */*;q=0.5"},
		{"Accept-Language", "en-GB,en;q=0.7"},
	}}
	switch r.Method + " " + r.Template {
	case "GET /search":
		request.Target += "?" + url.Values{"q": {words[random.IntN(len(words))]}, "page": {fmt.Sprint(1 + random.IntN(9))}}.Encode()
	case "POST /products/{productId}/reviews":
		request.json(map[string]any{"stars": 1 + random.IntN(5), "text": "I select a " + words[random.IntN(len(words))] + " and it was fine."})
	case "POST /cart/items":
		request.json(map[string]any{"product_id": 1 + random.IntN(90000), "quantity": 1 + random.IntN(3)})
	case "POST /orders":
		request.json(map[string]any{"items": []map[string]any{{"product_id": 7, "quantity": 1}}, "gift": random.IntN(2) == 0, "email": "ada@example.org"})
	case "PUT /users/{userId}":
		request.json(map[string]any{"name": "Ada", "city": words[random.IntN(len(words))]})
	case "POST /login":
		request.form(url.Values{"user": {"ada"}, "password": {letters(random, 12)}})
	case "POST /avatars":
		request.multipart(letters(random, 200))
	}
	return request
}

var (
	words      = []string{"lamp", "oak table", "green chair", "shelf", "curtain", "red union jack rug", "table and chairs"}
	userAgents = []string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
		"ShopApp/4.2 (Android 16)",
	}
)

func (r *Request) json(body any) {
	// The values above always encode.
	r.Body, _ = json.Marshal(body)
	r.Headers = append(r.Headers, [2]string{"Content-Type", "application/json"})
}

func (r *Request) form(values url.Values) {
	r.Body = []byte(values.Encode())
	r.Headers = append(r.Headers, [2]string{"Content-Type", "application/x-www-form-urlencoded"})
}

func (r *Request) multipart(content string) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, _ := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="image"; filename="me.png"`}, "Content-Type": {"image/png"},
	})
	_, _ = part.Write([]byte("\x89PNG\r\n\x1a\n" + content))
	_ = form.Close()
	r.Body = body.Bytes()
	r.Headers = append(r.Headers, [2]string{"Content-Type", form.FormDataContentType()})
}

func letters(random *rand.Rand, n int) string {
	const alphabet = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"
	text := make([]byte, n)
	for i := range text {
		text[i] = alphabet[random.IntN(len(alphabet))]
	}
	return string(text)
}

func uuid(random *rand.Rand) string {
	b := make([]byte, 16)
	for i := range b {
		b[i] = byte(random.IntN(256))
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
