package kernels

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// libraries are the shared libraries that these files need, theirs included, as the dynamic linker finds them here.
func libraries(ctx context.Context, files []string) ([]string, error) {
	var dynamic []string
	for _, file := range files {
		if isDynamic(file) {
			dynamic = append(dynamic, file)
		}
	}
	if len(dynamic) == 0 {
		return nil, nil
	}
	output, err := exec.CommandContext(ctx, "ldd", dynamic...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("finding shared libraries: %w: %s", err, bytes.TrimSpace(output))
	}
	return parseLibraries(string(output))
}

var libraryLine = regexp.MustCompile(`^\s+(?:\S+ => )?(/\S+) \(0x`)

func parseLibraries(output string) ([]string, error) {
	var list []string
	seen := map[string]bool{}
	for line := range strings.Lines(output) {
		if strings.Contains(line, "=> not found") {
			return nil, fmt.Errorf("a shared library is missing on this host: %s", strings.TrimSpace(line))
		}
		if m := libraryLine.FindStringSubmatch(line); m != nil && !seen[m[1]] {
			seen[m[1]] = true
			list = append(list, m[1])
		}
	}
	return list, nil
}

// isDynamic tells whether a file is a program or library that the dynamic linker completes.
func isDynamic(path string) bool {
	if !mayBeELF(path) {
		return false
	}
	file, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	return file.Section(".dynamic") != nil
}

func mayBeELF(path string) bool {
	switch filepath.Ext(path) {
	case ".py", ".pyc", ".txt", ".conf", ".cnf", ".pem":
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
