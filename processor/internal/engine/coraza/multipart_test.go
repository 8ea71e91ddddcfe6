package coraza

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
)

// An upload must not touch the disk: the folder for temporary files is gone once the rules are compiled, and the field
// behind the upload is judged all the same. (Coraza itself tries once, at compile time, whether it could write.)
func TestUploadsStayInMemory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	e, err := New(decode.DefaultLimits())
	require.NoError(t, err)
	t.Setenv("TMPDIR", os.Getenv("TMPDIR")+"/none")
	body := "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"shell.php\"\r\n\r\ncontent\r\n" +
		"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n<?php system($_GET['c']); ?>\r\n--x--\r\n"
	r := decode.Decode(&trafficv1.Request{
		Method: []byte("POST"), Target: []byte("/"), BodyComplete: true, BodySize: uint64(len(body)),
		Headers: []*trafficv1.Header{{Name: []byte("Host"), Value: []byte("h")}, {Name: []byte("Content-Type"), Value: []byte("multipart/form-data; boundary=x")}},
		Body:    []*trafficv1.BodySegment{{Data: []byte(body)}},
	}, nil, decode.DefaultLimits())
	ms, err := e.Match(r)
	require.NoError(t, err)
	at := map[uint32]string{}
	for _, m := range ms {
		for _, w := range m.Where {
			at[m.Rule.ID] = r.Points[w.Point].Name
		}
	}
	require.Equal(t, "body.multipart.f.filename", at[933110])
	require.Equal(t, "body.multipart.a", at[933100])
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		`form-data; name="a"`:                                         nil,
		`form-data; name="a"; filename="b.txt"`:                       {"b.txt"},
		`form-data; name="a"; filename="../b"`:                        {"../b"},
		`form-data; name="a"; filename="b"; filename*=utf-8''c%2Ephp`: {"c.php", "b"},
		`form-data; name="a"; filename="b`:                            {"b"},
		`form-data; name="a"; filename=""`:                            nil,
	} {
		require.Equal(t, want, fileNames(in), in)
	}
}
