package inventory

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
	"github.com/sidelight/sidelight/apidiscovery/internal/template"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

const (
	longestName      = 255
	longestParameter = 200
	longestType      = 100
	mostContentTypes = 8
)

// endpoint is what is known of one method of one template.
type endpoint struct {
	host *host
	leaf *template.Leaf[*endpoint]
	id   string
	// published endpoints are written and shown; the others wait for more evidence, in memory alone.
	published bool
	whole     uint64
	auth      uint32
	protocol  inventoryv1.Protocol
	request   []string
	response  []string
	known     map[schema.Key]schema.Parameter
	delta     delta
}

// delta is what the next flush writes.
type delta struct {
	requests, attacks, whole uint64
	classes                  [5]uint64
	first, last              time.Time
	structural               bool
	parameters               map[schema.Key]schema.Parameter
}

func (d *delta) status(code uint32) {
	if class := code / 100; class >= 1 && class <= 5 {
		d.classes[class-1]++
	}
}

// learn finds or makes the endpoint of a path.
func (inv *Inventory) learn(h *host, o *inventoryv1.Observation, path []string) *endpoint {
	if leaf := h.tree.Find(o.GetMethod(), path); leaf == nil && inv.endpoints >= inv.limits.Endpoints {
		inv.losses.Add("inventory", "endpoints_full", 1)
		return nil
	}
	leaf, err := h.tree.Learn(o.GetMethod(), path)
	if err != nil {
		inv.losses.Add("inventory", "paths_full", 1)
		return nil
	}
	if leaf.Value == nil {
		inv.attach(h, leaf)
	}
	return leaf.Value
}

// attach makes the endpoint of a new leaf.
func (inv *Inventory) attach(h *host, leaf *template.Leaf[*endpoint]) *endpoint {
	e := &endpoint{host: h, leaf: leaf, known: map[schema.Key]schema.Parameter{}}
	e.id = identify(h.key, leaf.Method, leaf.Shape())
	leaf.Value = e
	inv.endpoints++
	return e
}

// count adds a request that belongs to the endpoint, whatever it teaches.
func (inv *Inventory) count(e *endpoint, o *inventoryv1.Observation) {
	e.delta.requests++
	e.delta.status(o.GetStatus())
	if o.GetAttack() {
		e.delta.attacks++
	}
	at := inv.timeOf(o)
	e.delta.first, e.delta.last = schema.Earlier(e.delta.first, at), schema.Later(e.delta.last, at)
	inv.dirty[e] = true
}

// evidence learns from a request that the service answered with success.
func (inv *Inventory) evidence(h *host, e *endpoint, o *inventoryv1.Observation) {
	e.whole++
	e.delta.whole++
	grew := e.learnHead(o)
	for key, parameter := range inv.parametersOf(e, o) {
		grew = inv.learnParameter(e, key, parameter) || grew
	}
	if !e.published && e.whole >= inv.limits.Requests {
		e.published = true
		grew = true
	}
	if grew {
		inv.changed(h, e)
	}
}

func (inv *Inventory) changed(h *host, e *endpoint) {
	e.delta.structural = true
	inv.dirty[e] = true
	if e.published {
		inv.changes++
		h.changed = inv.changes
	}
}

// learnHead takes what the request says beside its parameters.
func (e *endpoint) learnHead(o *inventoryv1.Observation) (grew bool) {
	if scheme := uint32(1) << o.GetAuth(); o.GetAuth() > 0 && o.GetAuth() < 32 && e.auth&scheme == 0 {
		e.auth |= scheme
		grew = true
	}
	if o.GetProtocol() > e.protocol {
		e.protocol = o.GetProtocol()
		grew = true
	}
	grew = addType(&e.request, o.GetRequestContentType()) || grew
	return addType(&e.response, o.GetResponseContentType()) || grew
}

func addType(list *[]string, contentType string) bool {
	contentType = clean(contentType, longestType)
	at, found := slices.BinarySearch(*list, contentType)
	if contentType == "" || found || len(*list) >= mostContentTypes {
		return false
	}
	*list = slices.Insert(*list, at, contentType)
	return true
}

// timeOf never lets a wrong clock write a time that the database refuses.
func (inv *Inventory) timeOf(o *inventoryv1.Observation) time.Time {
	if at := o.GetObservedAt(); at.IsValid() && at.GetSeconds() > 0 {
		return at.AsTime()
	}
	return inv.now()
}

// identify hashes what an endpoint is, names of parameters left out.
func identify(h HostKey, method, shape string) string {
	hash := sha256.New()
	for _, part := range []string{h.Cluster, h.Service, h.Host, method, shape} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		hash.Write(size[:])
		hash.Write([]byte(part))
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(hash.Sum(nil)[:15]))
}

// clean makes a text that the database takes.
func clean(text string, most int) string {
	text = strings.ReplaceAll(text, "\x00", "\uFFFD")
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
