package template

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// learn gives the templates that a tree finds in "METHOD /path" lines.
func learn(t testing.TB, limits Limits, lines []string) []string {
	t.Helper()
	tree := New(limits, func(into, from *Leaf[int]) { into.Value += from.Value })
	for _, line := range lines {
		method, path, _ := strings.Cut(line, " ")
		leaf, err := tree.Learn(method, segments(path))
		require.NoError(t, err, line)
		leaf.Value++
	}
	return templates(t, tree, len(lines))
}

func templates(t testing.TB, tree *Tree[int], requests int) []string {
	t.Helper()
	var found []string
	sum, leaves := 0, map[string]bool{}
	tree.Walk(func(leaf *Leaf[int]) {
		path, _ := leaf.Template()
		found = append(found, leaf.Method+" "+path)
		sum += leaf.Value
		require.False(t, leaves[leaf.Method+leaf.Shape()], "two leaves of one shape")
		leaves[leaf.Method+leaf.Shape()] = true
	})
	require.Equal(t, requests, sum, "requests were lost or counted twice")
	slices.Sort(found)
	return found
}

func segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ lines, want []string }{
		"root":      {[]string{"GET /"}, []string{"GET /"}},
		"singulars": {[]string{"GET /categories/1", "GET /addresses/2", "GET /boxes/3", "GET /people/4", "GET /status/5", "GET /order-items/6", "GET /houses/7"}, []string{"GET /addresses/{addressId}", "GET /boxes/{boxId}", "GET /categories/{categoryId}", "GET /houses/{houseId}", "GET /order-items/{orderItemId}", "GET /people/{personId}", "GET /status/{statusId}"}},
		"no parent": {[]string{"GET /api/v1/7", "GET /3f2504e0-4f89-41d3-9a0c-0305e82c3301", "GET /a/1/2/3", "GET /reports/2026-01-02"}, []string{"GET /a/{aId}/{id}/{id2}", "GET /api/v1/{id}", "GET /reports/{date}", "GET /{uuid}"}},
		"twice":     {[]string{"GET /users/1/users/2"}, []string{"GET /users/{userId}/users/{userId2}"}},
		"mixed":     {[]string{"GET /orders/1", "GET /orders/3f2504e0-4f89-41d3-9a0c-0305e82c3301"}, []string{"GET /orders/{orderId}"}},
		"versions":  {[]string{"GET /v1/users/1", "GET /v2/users/2", "GET /2015-03-31/functions/7"}, []string{"GET /2015-03-31/functions/{functionId}", "GET /v1/users/{userId}", "GET /v2/users/{userId}"}},
		"braces":    {[]string{"GET /a/{b}", "GET /a/b%2Fc"}, []string{"GET /a/%7Bb%7D", "GET /a/b%252Fc"}},
		"continuation": {
			[]string{"GET /users/alice/orders", "GET /users/bob/orders", "GET /users/carol/orders", "GET /users/dave/orders", "GET /users/dave", "GET /users/search"},
			[]string{"GET /users/search", "GET /users/{userId}", "GET /users/{userId}/orders"},
		},
		"too few to tell":       {[]string{"GET /users/alice/orders", "GET /users/bob/orders"}, []string{"GET /users/alice/orders", "GET /users/bob/orders"}},
		"beside typed siblings": {[]string{"GET /users/1/orders", "GET /users/alice/orders", "GET /users/bob/orders"}, []string{"GET /users/{userId}/orders"}},
		"one beside typed":      {[]string{"GET /users/1/orders", "GET /users/me/orders"}, []string{"GET /users/me/orders", "GET /users/{userId}/orders"}},
		"collections stay": {
			[]string{"GET /shop/users/list", "GET /shop/orders/list", "GET /shop/carts/list", "GET /shop/items/list", "GET /shop/users/1", "GET /shop/orders/1", "GET /shop/carts/1", "GET /shop/items/1"},
			[]string{"GET /shop/carts/list", "GET /shop/carts/{cartId}", "GET /shop/items/list", "GET /shop/items/{itemId}", "GET /shop/orders/list", "GET /shop/orders/{orderId}", "GET /shop/users/list", "GET /shop/users/{userId}"},
		},
		"the start stays":   {[]string{"GET /api/a/list", "GET /api/b/list", "GET /api/c/list", "GET /api/d/list", "GET /api/e/list"}, []string{"GET /api/a/list", "GET /api/b/list", "GET /api/c/list", "GET /api/d/list", "GET /api/e/list"}},
		"a word like an id": {[]string{"GET /orders/ord_abcdefghijk", "GET /orders/ord_9aXk2mQ8pL", "GET /orders/ord_qwertzuiop", "GET /orders/statistics"}, []string{"GET /orders/statistics", "GET /orders/{orderId}"}},
		"merge in depth": {
			[]string{"GET /t/alice/files/x/meta", "GET /t/bob/files/y/meta", "GET /t/carol/files/z/meta", "GET /t/dave/files/w/meta"},
			[]string{"GET /t/{tId}/files/{fileId}/meta"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, learn(t, DefaultLimits(), test.lines))
			for seed := range uint64(50) {
				shuffled := slices.Clone(test.lines)
				rand.New(rand.NewPCG(seed, 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
				require.Equal(t, test.want, learn(t, DefaultLimits(), shuffled), "in the order %q", shuffled)
			}
		})
	}
}

// shopTraffic draws requests of the demo shop, whose route table the templates must equal.
func shopTraffic(random *rand.Rand, each int) []string {
	letters := func(n int) string {
		const alphabet = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"
		text := make([]byte, n)
		for i := range text {
			text[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(text)
	}
	var lines []string
	for range each {
		id := func() int { return 1 + random.IntN(90000) }
		uuid := fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", random.Uint32(), random.IntN(1<<16), random.IntN(1<<12), random.IntN(1<<12), random.Int64N(1<<48))
		lines = append(lines, "GET /health", "GET /products", fmt.Sprintf("GET /products/%d", id()), fmt.Sprintf("GET /products/%d/reviews", id()),
			fmt.Sprintf("POST /products/%d/reviews", id()), "GET /search", "POST /cart/items", "DELETE /cart/items/"+uuid, "POST /orders",
			"GET /orders/ord_"+letters(14), fmt.Sprintf("PUT /users/%d", id()), "POST /login", "POST /avatars", "GET /docs/api", "GET /docs/terms")
	}
	random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return lines
}

var shopRoutes = []string{
	"DELETE /cart/items/{itemId}", "GET /docs/api", "GET /docs/terms", "GET /health", "GET /orders/{orderId}", "GET /products",
	"GET /products/{productId}", "GET /products/{productId}/reviews", "GET /search", "POST /avatars", "POST /cart/items", "POST /login",
	"POST /orders", "POST /products/{productId}/reviews", "PUT /users/{userId}",
}

func TestShopInAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 7))
		require.Equal(t, shopRoutes, learn(t, DefaultLimits(), shopTraffic(random, 3+random.IntN(40))), "seed %d", seed)
	}
}

func TestManyLeavesAreOneParameter(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 60 {
		lines = append(lines, "GET /articles/"+word(i))
	}
	lines = append(lines, "GET /articles/"+word(1)+"/comments", "GET /docs/api")
	require.Equal(t, []string{"GET /articles/{articleId}", "GET /articles/{articleId}/comments", "GET /docs/api"}, learn(t, DefaultLimits(), lines))
}

// word makes distinct words without digits.
func word(i int) string { return "word" + string(rune('a'+i/26)) + string(rune('a'+i%26)) }

func TestFullTreeRefuses(t *testing.T) {
	t.Parallel()
	limits := DefaultLimits()
	limits.Nodes = 10
	tree := New(limits, func(_, _ *Leaf[int]) {})
	var refused int
	for i := range 50 {
		if _, err := tree.Learn("GET", []string{word(i), "y"}); err != nil {
			require.ErrorIs(t, err, ErrFull)
			refused++
		}
	}
	require.Positive(t, refused)
	require.LessOrEqual(t, tree.Nodes(), 10)
	leaf, err := tree.Learn("GET", []string{word(0), "y"})
	require.NoError(t, err, "what is known stays known")
	require.NotNil(t, leaf)
}

func TestRestoredTreeGoesOnAsBefore(t *testing.T) {
	t.Parallel()
	lines := append(shopTraffic(rand.New(rand.NewPCG(1, 1)), 20),
		"GET /users/alice/orders", "GET /users/bob/orders", "GET /users/carol/orders", "GET /users/dave/orders")
	tree := New(DefaultLimits(), func(into, from *Leaf[int]) { into.Value += from.Value })
	for _, line := range lines {
		method, path, _ := strings.Cut(line, " ")
		_, err := tree.Learn(method, segments(path))
		require.NoError(t, err)
	}
	want := templates(t, tree, 0)
	second := New(DefaultLimits(), func(_, from *Leaf[int]) { require.Zero(t, from.Value, "a restart moves an endpoint") })
	tree.Walk(func(leaf *Leaf[int]) {
		path, parameters := leaf.Template()
		second.Restore(leaf.Method, path, typesOf(parameters)).Value = 1
	})
	require.Equal(t, want, templates(t, second, len(want)))
	for _, path := range []string{"/users/alice/orders", "/users/eve/orders"} {
		leaf, err := second.Learn("GET", segments(path))
		require.NoError(t, err)
		found, _ := leaf.Template()
		require.Equal(t, "/users/{userId}/orders", found)
	}
}
