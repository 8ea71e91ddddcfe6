package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Secret is a text that never shows itself in logs or printed configuration.
type Secret string

const redacted = "(hidden)"

// Reveal gives the text itself.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString keeps %#v from showing it.
func (s Secret) GoString() string             { return s.String() }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(s.String()) }
func (s Secret) MarshalYAML() (any, error)    { return s.String(), nil }
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Duration is written as "5s", "2m30s".
type Duration time.Duration

func (d Duration) Duration() time.Duration   { return time.Duration(d) }
func (d Duration) MarshalYAML() (any, error) { return time.Duration(d).String(), nil }

func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := time.ParseDuration(node.Value)
	if err != nil || parsed < 0 {
		return fmt.Errorf("line %d: %q is no duration: want a number and a unit, such as 500ms, 5s or 2m", node.Line, node.Value)
	}
	*d = Duration(parsed)
	return nil
}

// ByteSize is written as a number of bytes or with KiB, MiB, GiB.
type ByteSize int64

var units = []struct {
	suffix string
	factor int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}}

func (b ByteSize) MarshalYAML() (any, error) {
	for _, unit := range []int{2, 1, 0} {
		if f := units[unit].factor; b != 0 && int64(b)%f == 0 {
			return fmt.Sprintf("%d%s", int64(b)/f, units[unit].suffix), nil
		}
	}
	return int64(b), nil
}

func (b *ByteSize) UnmarshalYAML(node *yaml.Node) error {
	for _, unit := range units {
		digits, found := strings.CutSuffix(node.Value, unit.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err == nil && n >= 0 && n <= (1<<62)/unit.factor {
			*b = ByteSize(n * unit.factor)
			return nil
		}
	}
	return fmt.Errorf("line %d: %q is no size: want a number of bytes, or one with KiB, MiB or GiB", node.Line, node.Value)
}

// CIDRs is a list of address ranges; a single address is a range of one.
type CIDRs []netip.Prefix

func (c CIDRs) MarshalYAML() (any, error) {
	texts := make([]string, 0, len(c))
	for _, prefix := range c {
		texts = append(texts, prefix.String())
	}
	return texts, nil
}

func (c *CIDRs) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.SequenceNode {
		return fmt.Errorf("line %d: want a list of ranges, such as [10.0.0.0/8, 192.0.2.1]", node.Line)
	}
	list := make(CIDRs, 0, len(node.Content))
	for _, item := range node.Content {
		prefix, err := netip.ParsePrefix(item.Value)
		if err != nil {
			address, addressErr := netip.ParseAddr(item.Value)
			if addressErr != nil {
				return fmt.Errorf("line %d: %q is no address range: want one such as 10.0.0.0/8 or 2001:db8::/32", item.Line, item.Value)
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		if prefix != prefix.Masked() {
			return fmt.Errorf("line %d: %s has bits set beyond its length: did you mean %s?", item.Line, prefix, prefix.Masked())
		}
		list = append(list, prefix)
	}
	*c = list
	return nil
}

// Contains tells whether an address lies in one of the ranges.
func (c CIDRs) Contains(address netip.Addr) bool {
	address = address.Unmap()
	for _, prefix := range c {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}
