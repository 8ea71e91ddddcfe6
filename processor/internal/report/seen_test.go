package report

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func line(id string, revision uint32, types ...string) *processorv1.Summary {
	m := &processorv1.Summary{ExchangeId: []byte(id), Revision: revision, Complete: true}
	for _, t := range types {
		m.Hits = append(m.Hits, &processorv1.SummaryHit{Type: t})
	}
	return m
}

const (
	idA = "aaaaaaaaaaaaaaaa"
	idB = "bbbbbbbbbbbbbbbb"
)

func TestSeenForAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := NewSeen()
		_, dup := s.Find([]byte(idA), 1)
		require.False(t, dup)
		s.Judged(line(idA, 1, "sqli"), nil, false)
		for range 59 {
			<-time.After(time.Second) // The bubble's clock, not the wall's.
			s.Judged(line(idB, 1), nil, false)
		}
		past, dup := s.Find([]byte(idA), 1)
		require.True(t, dup)
		require.Equal(t, "sqli", past.Hits[0].GetType())
		<-time.After(2 * time.Minute)
		s.Judged(line(idB, 2), nil, false)
		<-time.After(2 * time.Minute)
		s.Judged(line(idB, 3), nil, false)
		_, dup = s.Find([]byte(idA), 1)
		require.False(t, dup, "remembered for ever")
	})
}

func TestHitsStay(t *testing.T) {
	t.Parallel()
	s := NewSeen()
	s.Judged(line(idA, 1, "sqli"), nil, false)
	s.Judged(line(idA, 2), nil, false)
	s.Passed(line(idA, 3), false)
	past, dup := s.Find([]byte(idA), 4)
	require.False(t, dup)
	require.True(t, past.Judged)
	require.Len(t, past.Hits, 1, "what was kept needs its outcome")
	_, dup = s.Find([]byte(idA), 3)
	require.True(t, dup)

	s.Passed(line(idB, 2), false)
	past, _ = s.Find([]byte(idB), 3)
	require.False(t, past.Judged, "an outcome does not tell whether there were hits")
}

func TestSeenIsBounded(t *testing.T) {
	t.Parallel()
	s := NewSeen()
	for r := range uint32(10_000) {
		s.Passed(line(idA, r), false)
	}
	past, _ := s.Find([]byte(idA), 0)
	require.Len(t, past.revisions, mostRevisions)
	_, dup := s.Find([]byte("short"), 1)
	require.False(t, dup)
}

func TestWhatIsNews(t *testing.T) {
	t.Parallel()
	s := NewSeen()
	require.Equal(t, News{Fresh: true}, s.Judged(line(idA, 1), []byte("session"), false))
	require.Equal(t, News{}, s.Judged(line(idA, 1), nil, true), "two calls at the same time: the second is a resend")
	require.Equal(t, News{Fresh: true, Answered: true}, s.Passed(line(idA, 2), true))
	require.Equal(t, News{}, s.Passed(line(idA, 2), true))
	require.Equal(t, News{Fresh: true}, s.Passed(line(idA, 3), true), "its client was told of already")
	past, _ := s.Find([]byte(idA), 4)
	require.Equal(t, "session", string(past.Session))
}
