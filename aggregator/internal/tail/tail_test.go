package tail

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"

	"github.com/sidelight/sidelight/internal/filter"
)

func summaries(from, to int, attack bool) []*processorv1.Summary {
	var list []*processorv1.Summary
	for n := from; n < to; n++ {
		s := &processorv1.Summary{ExchangeId: binary.BigEndian.AppendUint64(nil, uint64(n)), Request: &detectionv1.RequestSummary{Path: "/orders/1"}}
		if attack {
			s.Hits = []*processorv1.SummaryHit{{Type: "sqli", Point: "query.q"}}
		}
		list = append(list, s)
	}
	return list
}

func TestASlowReaderLosesTheOldestAndIsToldHowMany(t *testing.T) {
	t.Parallel()
	h := NewHub()
	slow, ok := h.subscribe(false, nil)
	require.True(t, ok)
	quick, ok := h.subscribe(false, nil)
	require.True(t, ok)
	got := 0
	for n := range 3 * maxItems / 100 {
		h.Publish(summaries(n*100, n*100+100, false))
		items, dropped := quick.take()
		require.Zero(t, dropped)
		got += len(items)
	}
	total := 3 * maxItems / 100 * 100
	require.Equal(t, total, got)
	items, dropped := slow.take()
	require.Len(t, items, maxItems)
	require.EqualValues(t, total-maxItems, dropped)
	require.EqualValues(t, total-maxItems, h.Dropped.Load())
	require.EqualValues(t, total-maxItems, binary.BigEndian.Uint64(items[0].summary.GetExchangeId()), "what is left is the newest, in order")
	items, dropped = slow.take()
	require.Empty(t, items)
	require.Zero(t, dropped)
}

func TestBytesAreBounded(t *testing.T) {
	t.Parallel()
	h := NewHub()
	r, _ := h.subscribe(false, nil)
	big := summaries(0, 1, false)
	big[0].Request.Path = string(make([]byte, 100<<10))
	for range 1000 {
		h.Publish(big)
	}
	require.LessOrEqual(t, r.bytes, int64(maxBytes))
	items, dropped := r.take()
	require.Equal(t, 1000, len(items)+int(dropped))
}

func TestAttacksOnly(t *testing.T) {
	t.Parallel()
	h := NewHub()
	r, _ := h.subscribe(true, nil)
	h.Publish(summaries(0, 10, false))
	h.Publish(summaries(10, 12, true))
	items, dropped := r.take()
	require.Len(t, items, 2)
	require.Zero(t, dropped, "what was not asked for was not lost")
}

func TestReadersAreBounded(t *testing.T) {
	t.Parallel()
	h := NewHub()
	var last *reader
	for range maxReaders {
		r, ok := h.subscribe(false, nil)
		require.True(t, ok)
		last = r
	}
	_, ok := h.subscribe(false, nil)
	require.False(t, ok)
	h.unsubscribe(last)
	_, ok = h.subscribe(false, nil)
	require.True(t, ok)
	h.Stop()
	h.Stop()
}

func TestFilter(t *testing.T) {
	t.Parallel()
	h := NewHub()
	wanted, err := filter.Parse("type:sqli path:/orders*")
	require.NoError(t, err)
	r, _ := h.subscribe(false, wanted)
	h.Publish(summaries(0, 10, false))
	h.Publish(summaries(10, 12, true))
	other := summaries(12, 13, true)
	other[0].Request.Path = "/health"
	h.Publish(other)
	items, dropped := r.take()
	require.Len(t, items, 2)
	require.Zero(t, dropped, "what was not asked for was not lost")
}

// BenchmarkPublish is what 10 readers with filters that match nothing cost the lane per summary.
func BenchmarkPublish(b *testing.B) {
	h := NewHub()
	for range 10 {
		wanted, err := filter.Parse("type:sqli,xss status:>=500 -path:/health* (service:shop OR client:10.0.0.0/8)")
		require.NoError(b, err)
		_, ok := h.subscribe(false, wanted)
		require.True(b, ok)
	}
	list := summaries(0, 100, true)
	b.ReportAllocs()
	for b.Loop() {
		h.Publish(list)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/summary")
}
