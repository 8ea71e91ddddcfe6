// Package cases holds requests with what detection must say of them. The tests of the processor run them all; the demo draws
// some of them by a random seed and sends them through a real server.
package cases

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed testdata/*.txt
var files embed.FS

// Expectation is one hit.
type Expectation struct{ Type, Point string }

// Case is one request.
type Case struct {
	// File is the name without folder and ending: "sqli".
	File, Name string
	// Attack: at least one hit is expected. Else the request must stay silent.
	Attack         bool
	Method, Target string
	// Headers as they stand in the file. Host, User-Agent and Content-Length are the sender's business where they are absent.
	Headers [][2]string
	Body    []byte
	Expect  []Expectation
}

// All gives every case, in the order of files and lines.
func All() ([]Case, error) {
	names, err := fs.Glob(files, "testdata/*.txt")
	if err != nil {
		return nil, fmt.Errorf("listing case files: %w", err)
	}
	var out []Case
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading case file: %w", err)
		}
		cs, err := Parse(strings.TrimSuffix(path.Base(name), ".txt"), string(data))
		if err != nil {
			return nil, err
		}
		out = append(out, cs...)
	}
	return out, nil
}
