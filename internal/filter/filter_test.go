package filter

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// attack is the summary that the tests ask for.
func attack() *processorv1.Summary {
	return &processorv1.Summary{
		ExchangeId: []byte("0123456789abcdef"), Revision: 1, Phase: trafficv1.Phase_PHASE_CLOSED, Complete: true,
		Request: &detectionv1.RequestSummary{
			Method: "POST", Path: "/api/Orders/7", Host: "Shop.example:8080", Status: 404,
			Client:  &trafficv1.Client{Address: "10.1.2.3"},
			Peer:    &trafficv1.SocketAddress{Ip: []byte{192, 168, 0, 1}},
			TraceId: "4bf92f3577b34da6a3ce929d0e0e4736",
			Workload: &trafficv1.Workload{
				Cluster: "main", Node: "node-1", Namespace: "web", Pod: "shop-0", Service: "shop",
			},
		},
		Hits: []*processorv1.SummaryHit{{Type: "sqli", Point: "query.q"}, {Type: "xss", Point: "body.json.user.name"}},
	}
}

// waiting was not answered yet, and says little.
func waiting() *processorv1.Summary {
	return &processorv1.Summary{
		Phase: trafficv1.Phase_PHASE_REQUEST, WhyIncomplete: "body not complete yet",
		Request: &detectionv1.RequestSummary{
			Method: "get", Path: `/a b/100%/"x"(1)`, Peer: &trafficv1.SocketAddress{Ip: append(make([]byte, 15), 1)},
		},
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ attack, waiting bool }{
		"": {true, true}, " \t\n": {true, true},
		"type:sqli": {true, false}, "type:XSS": {true, false}, "type:rce": {}, "type:rce,xss": {true, false}, "type:*s*": {true, false},
		"-type:sqli": {false, true}, "NOT type:rce": {true, true}, "type:sql": {},
		"point:query.q": {true, false}, "point:body.json.*": {true, false}, "point:query.Q": {}, `point:"body.json.*"`: {},
		"attack:true": {true, false}, "attack:false": {false, true}, "attack:true,false": {true, true}, "-attack:true": {false, true},
		"complete:true": {true, false}, "complete:false": {false, true},
		"status:404": {true, false}, "status:4xx": {true, false}, "status:4XX": {true, false}, "status:400..404": {true, false},
		"status:>=404": {true, false}, "status:>404": {}, "status:<=404": {true, false}, "status:<404": {}, "status:<500": {true, false},
		"status:5xx": {}, "status:200,4xx": {true, false}, "status:none": {false, true}, "-status:404": {false, true},
		"method:POST": {true, false}, "method:post": {true, false}, "method:GET": {false, true}, "method:P*": {true, false},
		"host:shop.example": {true, false}, "host:SHOP.EXAMPLE": {true, false}, "host:shop.example:8080": {true, false},
		"host:shop.example:80": {}, "host:*.example": {true, false}, "host:shop": {}, `host:""`: {false, true},
		"path:/api/*": {true, false}, "path:/api": {}, "path:/API/*": {}, "path:/api/*/7": {true, false}, "path:*/Orders/*": {true, false},
		"path:/api/Orders/7": {true, false}, "path:/api/Orders/7*7": {}, `path:"/a b/100%/\"x\"(1)"`: {false, true}, "path:*%*": {false, true},
		"path:*": {true, true}, "path:/*/*/*/*": {}, "path:/**/7": {true, false},
		"service:shop": {true, false}, "namespace:web": {true, false}, "pod:shop-*": {true, false}, "node:node-1": {true, false},
		"cluster:main": {true, false}, "service:Shop": {}, `service:""`: {false, true},
		"client:10.0.0.0/8": {true, false}, "client:10.1.2.3": {true, false}, "client:10.1.2.4": {}, "client:192.168.0.1": {},
		"client:::ffff:10.1.2.3": {true, false}, "client:::ffff:10.0.0.0/104": {true, false}, "client:10.9.9.9/8": {true, false},
		"client:::1": {false, true}, "client:::/0": {false, true}, "client:0.0.0.0/0": {true, false},
		"trace:4bf92f3577b34da6a3ce929d0e0e4736": {true, false}, "trace:4BF92F*": {true, false}, "trace:0*": {},
		"phase:closed": {true, false}, "phase:Request,update": {false, true},
		"orders": {true, false}, "SHOP": {true, false}, "o*7": {true, false}, `"o*7"`: {}, "/api": {true, false}, `"a b"`: {false, true},
		":8080": {true, false}, "100%": {false, true}, "query.q": {}, `""`: {true, true}, "a,b": {}, "or": {true, false},
		"type:sqli status:404": {true, false}, "type:sqli AND status:500": {}, "type:rce OR status:none": {false, true},
		"type:rce OR type:sqli status:500": {}, "(type:rce OR type:sqli) status:404": {true, false},
		"NOT (type:rce OR status:none)": {true, false}, "-(type:sqli status:500)": {true, true}, "--type:sqli": {true, false},
		"NOT NOT NOT type:sqli": {false, true}, "((type:sqli))": {true, false}, "Type:sqli": {true, false},
		"(orders)shop": {true, false}, "notes OR orders": {true, false},
	} {
		f, err := Parse(text)
		require.NoError(t, err, "%s", text)
		require.Equal(t, want.attack, f.Match(attack()), "%s on the attack", text)
		require.Equal(t, want.waiting, f.Match(waiting()), "%s on the one that waits", text)
		roundTrip(t, f)
	}
}

func TestNothingIsNoPanic(t *testing.T) {
	t.Parallel()
	var none *Filter
	require.True(t, none.Match(nil))
	require.True(t, (&Filter{}).Match(attack()))
	require.Empty(t, none.String())
	where, args, err := none.SQL(nil, 1)
	require.NoError(t, err)
	require.Equal(t, "true", where)
	require.Empty(t, args)
	for _, name := range order {
		f, err := Parse("-" + name + ":" + map[Kind]string{Text: "*", Int: "200", Bool: "true", Inet: "::1"}[keys[name].kind])
		if name == "phase" {
			f, err = Parse("-phase:closed")
		}
		require.NoError(t, err)
		f.Match(&processorv1.Summary{})
		f.Match(nil)
	}
}

// roundTrip demands that the canonical form gives the very same filter.
func roundTrip(t *testing.T, f *Filter) {
	t.Helper()
	canonical := f.String()
	again, err := Parse(canonical)
	require.NoError(t, err, "%s", canonical)
	require.Equal(t, canonical, again.String())
	require.Equal(t, f.root.plain(), again.root.plain(), "%s", canonical)
}

// plain is a node without its functions, which cannot be compared.
func (n *node) plain() []any {
	if n == nil {
		return nil
	}
	all := []any{n.op, n.values}
	if n.key != nil {
		all = append(all, n.key.name)
	}
	for i := range n.kids {
		all = append(all, n.kids[i].plain())
	}
	return all
}

func TestCanonicalForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"  type:SQLI   AND\tNOT status:400..499 ": "type:sqli -status:4xx",
		"(a OR (b OR c)) AND (d (e f))":           "(a OR b OR c) d e f",
		"(a b) OR c":                              "a b OR c",
		"NOT (a OR b)":                            "-(a OR b)",
		"--(a b) c":                               "a b c",
		"status:>499 OR status:<400":              "status:>=500 OR status:<=399",
		"status:0404..404":                        "status:404",
		"client:10.9.9.9/8,::ffff:1.2.3.4":        "client:10.0.0.0/8,1.2.3.4",
		`path:"/api","/a b","/x*","a,b"`:          `path:/api,"/a b","/x*","a,b"`,
		`"OR" "-a" "a:b" "AND" "x" ":a" ","`:      `or "-a" "a:b" and x :a ,`,
		`"a\"b\\c"`:                               `"a\"b\\c"`,
		`a\b`:                                     `a\b`,
	} {
		f, err := Parse(text)
		require.NoError(t, err, "%s", text)
		require.Equal(t, want, f.String())
		roundTrip(t, f)
	}
}

func TestErrorsSayWhereAndWhat(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a b   typ:sqli":             `column 7: unknown key "typ"; want one of type, point,`,
		"ä typ:sqli":                 `column 3: unknown key`,
		"status:abc":                 `column 8: "abc" is no value of status; want 404, 4xx, 400..499, >=500, <400 or none`,
		"status:200,40":              "",
		"status:200,4x":              `column 12: "4x" is no value of status`,
		"status:500..400":            `column 8: "500..400" is no value`,
		"status:1000":                `column 8:`,
		"status:>999":                `column 8:`,
		"status:<1":                  `column 8:`,
		"status:0":                   `column 8:`,
		"status:99999999999999999":   `column 8:`,
		"client:10.0.0.0/33":         `column 8: "10.0.0.0/33" is no value of client; want an address or a CIDR`,
		"client:shop":                `column 8:`,
		"client:fe80::1%eth0":        `column 8:`,
		"attack:yes":                 `column 8: "yes" is no value of attack; want true or false`,
		"phase:open":                 `column 7: "open" is no value of phase; want request, update or closed`,
		"type:":                      `column 6: type: wants a value: the code of an attack type`,
		"type: sqli":                 `column 6: type: wants a value`,
		"type:sqli,":                 `column 11: type: wants a value`,
		"type:,sqli":                 `column 6: type: wants a value`,
		"(a":                         `column 1: this parenthesis is not closed`,
		"a)":                         `column 2: no parenthesis is open here`,
		"()":                         `column 2: want a term: key:value, a word, NOT or a group in parentheses`,
		"a OR":                       `column 5: want a term`,
		"OR a":                       `column 1: want a term`,
		"a AND AND b":                `column 7: want a term`,
		"NOT":                        `column 4: want a term`,
		"a -":                        `column 3: "-" negates what follows it`,
		"- a":                        `column 1: "-" negates what follows it`,
		"-)":                         `column 1: "-" negates what follows it`,
		`"a`:                         `column 1: these quotes are not closed`,
		`"a\n"`:                      `column 3: a backslash in quotes stands before " or \ only`,
		`"a\`:                        `column 3: a backslash`,
		`"a"b`:                       `column 4: want a space after the quoted value`,
		`"a","b"`:                    `column 4: want a space after the quoted value`,
		`path:"a"(b)`:                `column 9: want a space after the quoted value`,
		`path:/a"b"`:                 `column 8: '"' cannot stand within a value; put the whole value in quotes`,
		"path:/f(x)":                 `column 8: '(' cannot stand within a value; put the whole value in quotes`,
		"a\x1bb":                     `column 2: a control character is not allowed`,
		"a\x00":                      `column 2: a control character is not allowed`,
		"a\xffb":                     `column 2: this is no UTF-8 text`,
		"\x1b[31mx:y":                `column 1: a control character`,
		strings.Repeat("(", 33):      `column 33: more than 32 parentheses and negations in one another`,
		strings.Repeat("-", 40) + "": `column 33: more than 32`,
		strings.Repeat("a ", 101):    `column 201: more than 100 values in one filter`,
		"type:" + strings.Repeat("a,", 101) + "a": `more than 100 values in one filter`,
		strings.Repeat("x", 2049):                 `the filter has 2049 bytes: at most 2048 are allowed`,
		// Each of these grows by a byte when it is written in the usual way.
		strings.Repeat("x", 2048-len(" client:1::2:3:4:5:6:7")) + " client:1::2:3:4:5:6:7": `the filter has 2049 bytes in its canonical form`,
	} {
		_, err := Parse(text)
		if want == "" {
			require.NoError(t, err, "%s", text)
			continue
		}
		require.ErrorContains(t, err, want, "%s", text)
		var typed *Error
		require.ErrorAs(t, err, &typed)
		require.NotContains(t, err.Error(), "\x1b")
	}
	_, err := Parse("a\uFFFDb")
	require.NoError(t, err, "the sign for what was no text may be looked for")
}

func TestHelpNamesAllKeys(t *testing.T) {
	t.Parallel()
	require.Len(t, order, len(keys))
	for _, key := range Keys() {
		require.Equal(t, key[0], keys[key[0]].name)
		require.NotEmpty(t, key[1])
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	f, err := Parse(busy)
	require.NoError(t, err)
	s := attack()
	require.Zero(t, testing.AllocsPerRun(100, func() { f.Match(s) }))
}

// busy walks through every kind of term.
const busy = `(type:rce OR point:header.* OR phase:update OR complete:false OR nothing*here OR trace:0*) OR ` +
	`-status:5xx method:post host:*.example path:/api/*/7 client:10.0.0.0/8,::1 service:shop namespace:web pod:shop-* node:node-1 attack:true`

func BenchmarkMatch(b *testing.B) {
	for name, text := range map[string]string{"busy": busy, "type": "type:sqli", "word": "checkout", "path": "path:/api/*"} {
		b.Run(name, func(b *testing.B) {
			f, err := Parse(text)
			require.NoError(b, err)
			s := attack()
			b.ReportAllocs()
			for b.Loop() {
				f.Match(s)
			}
		})
	}
}
