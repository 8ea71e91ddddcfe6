package exchange

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"google.golang.org/protobuf/proto"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// ID names the bytes, not the sighting: host, boot, connection and the sequence number of the request's first byte.
type ID [16]byte

// named is what is known of a connection once one of its exchanges was sent.
type named struct {
	// prefix is what ids of the connection are hashed from, before the sequence number.
	prefix string
	// wire is its message, which says this of TLS.
	wire string
	tls  *trafficv1.Tls
}

// name gives a connection its prefix and its message, once.
func (b *Builder) name(c *Connection) *named {
	n := &c.named
	if n.prefix == "" {
		b.hashed = append(b.hashed[:0], b.cfg.BootID...)
		b.hashed = binary.BigEndian.AppendUint32(b.hashed, c.Netns)
		b.hashed = appendAddress(b.hashed, c.Local)
		b.hashed = appendAddress(b.hashed, c.Remote)
		n.prefix = string(b.hashed)
	}
	if n.wire == "" || n.tls != c.TLS {
		id := b.hash(n, 0)
		// Its texts come from the agent itself, and without them it is a connection still.
		text, err := proto.Marshal(c.message(id[:8], c.TLS))
		if err != nil {
			text, _ = proto.Marshal(c.message(id[:8], &trafficv1.Tls{}))
		}
		n.wire, n.tls = string(text), c.TLS
	}
	return n
}

func (c *Connection) message(id []byte, tls *trafficv1.Tls) *trafficv1.Connection {
	return &trafficv1.Connection{Id: id, Peer: socketAddress(c.Remote), Local: socketAddress(c.Local), Netns: c.Netns, Tls: tls}
}

// identify names the request that begins at an offset of the connection.
func (b *Builder) identify(c *Connection, offset uint64) ID {
	return b.hash(b.name(c), c.FirstSeq+uint32(offset))
}

func (b *Builder) hash(n *named, seq uint32) ID {
	b.hashed = append(b.hashed[:0], n.prefix...)
	b.hashed = binary.BigEndian.AppendUint32(b.hashed, seq)
	sum := sha256.Sum256(b.hashed)
	return ID(sum[:16])
}

func appendAddress(b []byte, a netip.AddrPort) []byte {
	b = append(b, a.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}

func socketAddress(a netip.AddrPort) *trafficv1.SocketAddress {
	return &trafficv1.SocketAddress{Ip: a.Addr().Unmap().AsSlice(), Port: uint32(a.Port())}
}
