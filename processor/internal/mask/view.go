package mask

import (
	"bytes"
	"slices"
	"strings"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/secret"
	"github.com/sidelight/sidelight/processor/internal/transform"
)

// View is a request as it may be shown: every part of it with its secrets covered. It is made once for a request, and its
// parts are covered when they are first asked for: most requests show no more than their path.
type View struct {
	r      *decode.Request
	points *Points

	target, body *cover
	values       []*cover
}

// NewView looks at a request through the built-in masks and a person's own.
func NewView(r *decode.Request, own *Points) *View { return &View{r: r, points: own} }

// hidden tells whether the value of a point is a secret as a whole.
func (v *View) hidden(p decode.Point) bool {
	return Sensitive(p) || unnamed(p) || v.points.covers(v.r, p)
}

// unnamed tells whether a value is a credential by its look, where its name only allows that: an OAuth code, a ticket.
func unnamed(p decode.Point) bool {
	switch p.Location {
	case decode.QueryName, decode.FormName:
		return secret.Runs(p.Value) != nil
	case decode.Query, decode.Form, decode.JSON, decode.Multipart:
	default:
		return false
	}
	switch strings.ToLower(p.Param) {
	case "code", "key", "ticket", "state", "nonce", "hash", "id_hint", "assertion":
		return secret.Token(p.Value)
	default:
		return false
	}
}

// part gives the cover of the part of the request that a range lies in.
func (v *View) part(at decode.Range) *cover {
	switch at.Part {
	case decode.PartTarget:
		return v.ofTarget()
	case decode.PartBody:
		return v.ofBody()
	case decode.PartHeaderValue:
		return v.ofValue(at.Header)
	case decode.PartHeaderName:
		return &cover{src: v.r.Headers[at.Header].GetName()}
	default:
		return &cover{src: v.r.Method}
	}
}

func (v *View) ofTarget() *cover {
	if v.target != nil {
		return v.target
	}
	c := &cover{src: v.r.Target}
	v.target = c
	v.coverPath(c)
	v.coverPoints(c, decode.PartTarget, 0)
	if v.cutShort() {
		// Where its secrets are in the rest of the query is not known.
		c.hide(v.r.QueryStart, v.r.QueryStart+len(v.r.Query))
	}
	return c
}

// coverPath hides segments that look like credentials, and the whole path if a person wants that.
func (v *View) coverPath(c *cover) {
	at := v.r.PathStart
	if v.points.has("path", "path") {
		c.hide(at, at+len(v.r.Path))
		return
	}
	for raw := range bytes.SplitSeq(v.r.Path, []byte("/")) {
		t, _ := transform.Apply(transform.Percent, transform.Plain(raw))
		switch runs := secret.Runs(t.Data); {
		case runs == nil:
		case len(t.Data) == len(raw):
			for _, run := range runs {
				c.hide(at+run[0], at+run[1])
			}
		default:
			c.hide(at, at+len(raw))
		}
		at += len(raw) + 1
	}
}

func (v *View) ofBody() *cover {
	if v.body == nil {
		v.body = &cover{src: v.r.Body}
		v.coverPoints(v.body, decode.PartBody, 0)
	}
	return v.body
}

func (v *View) ofValue(i int) *cover {
	if v.values == nil {
		v.values = make([]*cover, len(v.r.Headers))
	}
	if v.values[i] != nil {
		return v.values[i]
	}
	name := decode.Label(v.r.Headers[i].GetName())
	c := &cover{src: v.r.Headers[i].GetValue()}
	v.values[i] = c
	// By its name and not by its point: a request with very many points has none for its last headers.
	if SecretName(name) || v.points.has("header."+name, "") {
		c.hide(0, len(c.src))
		return c
	}
	if strings.EqualFold(name, "host") {
		// A name and a password may stand before the host.
		c.hide(0, bytes.LastIndexByte(c.src, '@')+1)
	}
	v.coverPoints(c, decode.PartHeaderValue, i)
	v.coverURL(c)
	return c
}

// coverPoints hides the values of all secret points of a part.
func (v *View) coverPoints(c *cover, part decode.Part, header int) {
	for _, p := range v.r.Points {
		if p.Raw.Part == part && p.Raw.Header == header && p.Raw.End > p.Raw.Start && v.hidden(p) {
			c.hide(p.Raw.Start, p.Raw.End)
		}
	}
}

// coverURL hides secret arguments of an address in a header: Referer is one of an earlier request.
func (v *View) coverURL(c *cover) {
	k := bytes.IndexByte(c.src, '?')
	if k < 0 {
		return
	}
	for at := k + 1; at < len(c.src); {
		end := len(c.src)
		if n := bytes.IndexAny(c.src[at:], "&#"); n >= 0 {
			end = at + n
		}
		if n := bytes.IndexByte(c.src[at:end], '='); n > 0 {
			name := decode.Label(c.src[at : at+n])
			if SecretName(name) || v.points.has("query."+name, "") {
				c.hide(at+n+1, end)
			}
		}
		at = end + 1
	}
}

// cutShort tells whether the request had more points than were looked at.
func (v *View) cutShort() bool {
	return slices.ContainsFunc(v.r.NotInspected, func(why string) bool {
		return why == "overlimit: points" || why == "overlimit: time"
	})
}

// opaque tells whether a point holds more than it was taken apart into, so that its secrets are not known by name.
func (v *View) opaque(p decode.Point) bool {
	switch p.Location {
	case decode.RequestLine:
		return v.cutShort()
	case decode.Body:
		return v.cutShort() || v.r.Kind != decode.BodyOther && len(v.r.NotInspected) > 0 || structured(v.r)
	default:
		return false
	}
}

// structured tells whether a body that was not taken apart looks like one that has names: JSON under another media type.
func structured(r *decode.Request) bool {
	if r.Kind != decode.BodyOther {
		return false
	}
	b := bytes.TrimLeft(r.Body, " \t\r\n\ufeff")
	return len(b) > 0 && strings.IndexByte("{[", b[0]) >= 0
}
