package console

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
)

// BenchmarkUpload is what a cluster does that was without its console: batches of 200 attacks with five samples each, over
// TLS, into Postgres. One in four is known and newer.
func BenchmarkUpload(b *testing.B) {
	const batch = 200
	h := start(b)
	c := h.register("east")
	sent := 0
	for b.Loop() {
		m := &consolev1.UploadRequest{}
		for i := range batch {
			id := sent + i
			if i%4 == 3 && sent > 0 {
				id -= batch
			}
			a := attack(fmt.Sprintf("attack-%08d", id), uint64(sent+1), noon, "one", "two", "three", "four", "five")
			for _, s := range a.GetSamples() {
				s.Evidence = &detectionv1.Evidence{Text: make([]byte, 256)}
			}
			m.Attacks = append(m.Attacks, a)
		}
		require.NoError(b, c.upload(b.Context(), m))
		sent += batch
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "records/s")
}
