package probe

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzDecode(f *testing.F) {
	f.Add(make([]byte, headerSize))
	f.Add(make([]byte, headerSize+256))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var e Event
		_, _ = notice(raw)
		if decode(raw, &e) == nil {
			require.LessOrEqual(t, headerSize+len(e.Data), len(raw))
		}
	})
}

func TestCountersMatchTheProgram(t *testing.T) {
	t.Parallel()
	spec, err := loadCapture()
	require.NoError(t, err)
	var s Stats
	require.Len(t, s.counters(), int(spec.Maps["counters"].MaxEntries))
}
