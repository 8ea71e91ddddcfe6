// Package coraza runs the OWASP Core Rule Set and Sidelight's own rules with the Coraza engine, in detection only and on
// requests only.
package coraza

import (
	"fmt"
	"io/fs"
	"strings"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/sidelight/sidelight/processor/rules"
)

const (
	crsDir  = "@owasp_crs"
	ownDir  = "@sidelight"
	osFiles = crsDir + "/lfi-os-files.data"
	osPaths = ownDir + "/os-paths.data"
)

// ruleFS gives Coraza the rule set's files and ours under one root.
type ruleFS struct {
	fs.FS
	osPaths []byte
}

func newRuleFS() (ruleFS, error) {
	data, err := fs.ReadFile(coreruleset.FS, osFiles)
	if err != nil {
		return ruleFS{}, fmt.Errorf("reading the core rule set's list of operating system files: %w", err)
	}
	return ruleFS{FS: coreruleset.FS, osPaths: wholePaths(data)}, nil
}

// ReadFile finds a file under the last "@" of its name: Coraza puts the folder of the including file in front of it.
func (f ruleFS) ReadFile(name string) ([]byte, error) {
	if k := strings.LastIndexByte(name, '@'); k >= 0 {
		name = name[k:]
	}
	if name == osPaths {
		return f.osPaths, nil
	}
	return fs.ReadFile(f.FS, name)
}

// wholePaths writes each name of a list as "/name/": a name with slashes around it only matches whole segments.
func wholePaths(list []byte) []byte {
	var b strings.Builder
	for line := range strings.Lines(string(list)) {
		line = strings.Trim(strings.TrimSpace(line), "/")
		// A single name such as "config.json" or "program" is an ordinary route; only paths and dot files are told apart
		// from routes by their name alone.
		if line == "" || line[0] == '#' || !strings.Contains(line, "/") && line[0] != '.' {
			continue
		}
		b.WriteString("/" + strings.ToLower(line) + "/\n")
	}
	return []byte(b.String())
}

// setUp is what stands before any rules.
func setUp(bodyLimit, depth, arguments int) (string, error) {
	setup, err := rules.FS.ReadFile("setup.conf")
	if err != nil {
		return "", fmt.Errorf("reading the engine's set-up: %w", err)
	}
	return fmt.Sprintf("%s\nSecRequestBodyLimit %d\nSecRequestBodyInMemoryLimit %d\nSecRequestBodyJsonDepthLimit %d\nSecArgumentsLimit %d\n",
		setup, bodyLimit, bodyLimit, depth, arguments), nil
}

// directives gives the whole rule set in the order in which it has to be loaded.
func directives(bodyLimit, depth, arguments int) (string, error) {
	setup, err := setUp(bodyLimit, depth, arguments)
	if err != nil {
		return "", err
	}
	own, err := rules.FS.ReadFile("sidelight.conf")
	if err != nil {
		return "", fmt.Errorf("reading Sidelight's rules: %w", err)
	}
	files, err := fs.Glob(coreruleset.FS, crsDir+"/REQUEST-*.conf")
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("listing the core rule set: %d files: %w", len(files), err)
	}
	var b strings.Builder
	b.WriteString(setup)
	for _, f := range files {
		if applies(f) {
			fmt.Fprintf(&b, "Include %s\n", f)
		}
	}
	b.Write(own)
	// Higher levels would be skipped rule by rule; without them the skipping costs nothing.
	b.WriteString("\nSecRuleRemoveByTag paranoia-level/2\nSecRuleRemoveByTag paranoia-level/3\nSecRuleRemoveByTag paranoia-level/4\n")
	return b.String(), nil
}

// applies leaves out what only a proxy in the way can do: block, and read responses.
func applies(file string) bool {
	return !strings.Contains(file, "REQUEST-949") && !strings.Contains(file, "REQUEST-999")
}
