package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{
		{"", 3, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc"},
		{"aé", 2, "a"},
		{"a\x00b", 9, "a\uFFFDb"},
		{"a\xffb", 9, "a\uFFFDb"},
	} {
		require.Equal(t, c.want, Text(c.in, c.width), "%q", c.in)
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x00\xffé", uint8(3))
	f.Fuzz(func(t *testing.T, s string, width uint8) {
		got := Text(s, int(width))
		require.LessOrEqual(t, len(got), int(width))
		require.True(t, utf8.ValidString(got))
		require.NotContains(t, got, "\x00")
		require.Equal(t, got, Text(got, int(width)))
	})
}

func TestAway(t *testing.T) {
	t.Parallel()
	require.True(t, Away(fmt.Errorf("x: %w", context.DeadlineExceeded)))
	require.True(t, Away(&pgconn.PgError{Code: "57P01"}))
	require.True(t, Away(&pgconn.PgError{Code: "25006"}))
	require.False(t, Away(&pgconn.PgError{Code: "42P01"}))
	require.False(t, Away(&pgconn.PgError{Code: "22021"}))
	require.False(t, Away(errors.New("other")))
	require.False(t, Away(pgx.ErrNoRows))
	require.True(t, Missing(fmt.Errorf("x: %w", pgx.ErrNoRows)))
}
