package kernels

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// expectedText names every test that a kernel is allowed, and bound, to skip.
//
//go:embed expected.txt
var expectedText string

// skip is one line of expected.txt.
type skip struct {
	kernels   []string
	pkg, test string
	reason    string
}

func parseExpected(text string) ([]skip, error) {
	var list []skip
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 4 {
			return nil, fmt.Errorf("expected.txt:%d: want kernels, package, test and what the test says when it skips", number)
		}
		// The reason is the rest of the line as it stands.
		rest := line
		for _, field := range fields[:3] {
			rest = strings.TrimSpace(strings.TrimPrefix(rest, field))
		}
		list = append(list, skip{kernels: strings.Split(fields[0], ","), pkg: fields[1], test: fields[2], reason: rest})
	}
	return list, nil
}

// of gives the skips of one kernel.
func of(list []skip, kernel string) []skip {
	var own []skip
	for _, s := range list {
		if slices.Contains(s.kernels, kernel) || s.kernels[0] == "all" {
			own = append(own, s)
		}
	}
	return own
}
